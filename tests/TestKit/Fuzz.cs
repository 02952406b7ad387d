using System.Globalization;

namespace VsockPair.TestKit;

/// <summary><c>make fuzz</c> runs the same tests with many more cases, from a seed of its own, and keeps what came out in <c>tests/fuzz/RESULTS.md</c>.</summary>
public static class Fuzz
{
    public static bool Enabled { get; } = Environment.GetEnvironmentVariable("VSOCKPAIR_FUZZ") == "1";

    public static int Seed { get; } = Enabled ? Environment.TickCount : 20;

    public static int Choose(int inTest, int inFuzz) => Enabled ? inFuzz : inTest;

    public static void Record(string what, string result)
    {
        if (Enabled)
        {
            string folder = Directory.CreateDirectory(Path.Combine(Repository.Root, "tests/fuzz")).FullName;
            string file = Path.Combine(folder, "RESULTS.md");
            string[] lines = File.Exists(file)
                ? File.ReadAllLines(file)
                : ["# Fuzzing", "", "Written by `make fuzz`; the seed repeats a run.", "", "| what | seed | result |", "|---|---|---|"];
            string row = string.Create(CultureInfo.InvariantCulture, $"| {what} | {Seed} | {result} |");
            File.WriteAllLines(file, [.. lines.Where(line => !line.StartsWith($"| {what} |", StringComparison.Ordinal)), row]);
        }
    }
}
