namespace VsockPair.GuestAgent;

/// <summary>Exit codes, the same in both programs.</summary>
internal static class ExitCode
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int Usage = 2;

    /// <summary>EX_CONFIG of <c>sysexits.h</c>: systemd need not try again.</summary>
    public const int Configuration = 78;
}
