namespace VsockPair.Commands;

/// <summary>What the shell gets.</summary>
internal static class ExitCode
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int Usage = 2;
    public const int NothingFound = 3;

    /// <summary>EX_CONFIG of <c>sysexits.h</c>.</summary>
    public const int BadConfiguration = 78;
}

/// <summary>Ends a command: what is wrong and what to do, for the person who typed it.</summary>
internal sealed class CommandFailure(int exitCode, string message) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}
