using System.Globalization;

namespace VsockPair.TestKit;

/// <summary>
/// How many cases the tests with made-up bad input try: a million, and ten in <c>make fuzz</c>, which takes a seed of its own and keeps what came out in
/// <c>tests/fuzz/RESULTS.md</c>.
/// </summary>
public static class Fuzz
{
    private static readonly bool IsLong = Environment.GetEnvironmentVariable("VSOCKPAIR_FUZZ") == "1";

    public static int Seed { get; } = IsLong ? Environment.TickCount & 0xFFFF : 20;

    /// <param name="share">Of all cases.</param>
    public static int Cases(double share) => (int)Math.Round(share * (IsLong ? 10_000_000 : 1_000_000));

    public static void Record(string what, string result)
    {
        if (!IsLong)
        {
            return;
        }
        string file = Path.Combine(Directory.CreateDirectory(Path.Combine(Repository.Root, "tests/fuzz")).FullName, "RESULTS.md");
        string[] lines = File.Exists(file)
            ? File.ReadAllLines(file)
            : ["# Fuzzing", "", "Written by `make fuzz`. A case that ends the process, throws, takes longer than its limit or allocates more fails the run.", "", "| what | seed | result |", "|---|---|---|"];
        string row = string.Create(CultureInfo.InvariantCulture, $"| {what} | {Seed} | {result} |");
        File.WriteAllLines(file, [.. lines.Where(line => !line.StartsWith($"| {what} |", StringComparison.Ordinal)), row]);
    }
}
