namespace VsockPair.TestKit;

/// <summary><c>make soak</c> runs the same tests with the full figures, and keeps what they measured.</summary>
public static class Soak
{
    private static readonly Lock Gate = new();

    // Rows of tests/soak/RESULTS.md; tests/run.sh puts the head above them.
    private static readonly string? Results = Environment.GetEnvironmentVariable("VSOCKPAIR_SOAK_FIGURES");

    public static bool Enabled { get; } = Environment.GetEnvironmentVariable("VSOCKPAIR_SOAK") == "1";

    public static T Choose<T>(T inTest, T inSoak) => Enabled ? inSoak : inTest;

    public static void Record(string test, string figure)
    {
        if (Results is null)
        {
            return;
        }
        lock (Gate)
        {
            File.AppendAllText(Results, $"| {test.Replace('_', ' ')} | {figure.Replace("|", "\\|", StringComparison.Ordinal)} |\n");
        }
    }
}
