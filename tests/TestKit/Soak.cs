namespace VsockPair.TestKit;

/// <summary><c>make soak</c> runs the same tests with the full figures.</summary>
public static class Soak
{
    public static bool Enabled { get; } = Environment.GetEnvironmentVariable("VSOCKPAIR_SOAK") == "1";

    public static T Choose<T>(T inTest, T inSoak) => Enabled ? inSoak : inTest;
}
