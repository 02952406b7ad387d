namespace VsockPair.Options;

/// <summary><c>[Watch]</c>: which machines the crash service watches, and what it does when one crashes.</summary>
public sealed record WatchOptions
{
    public IReadOnlyList<QmpSpec> Qmp { get; init; } = [];

    /// <summary>Every domain of this libvirt connection; null for none.</summary>
    public string? Libvirt { get; init; }

    public MemoryPolicy Memory { get; init; } = MemoryPolicy.Auto;

    /// <summary>Most that <see cref="MemoryPolicy.Auto"/> may let a guest stand still for its memory.</summary>
    public TimeSpan MaxPause { get; init; } = TimeSpan.FromSeconds(10);

    public CrashAction Action { get; init; } = CrashAction.Continue;

    /// <summary>Most memories taken of one guest's crashes: further ones are cases without.</summary>
    public int DumpsPerHour { get; init; } = 1;

    public int DumpsPerDay { get; init; } = 3;

    /// <summary>Blocks that all cases together may take.</summary>
    public long CaseQuota { get; init; } = 20L << 30;

    public TimeSpan CaseAge { get; init; } = TimeSpan.FromDays(30);

    /// <summary>How long after a crash the guest's next boot is waited for.</summary>
    public TimeSpan WaitForBoot { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>A guest that runs but has not been heard of for so long hangs; zero: no guest ever does.</summary>
    public TimeSpan HangAfter { get; init; }

    /// <summary>Program that is run for each case, with the case as JSON on its standard input.</summary>
    public string? Exec { get; init; }

    /// <summary>Where a vmlinux with debug information is looked for besides the usual places.</summary>
    public string? Vmlinux { get; init; }

    public bool Debuginfod { get; init; }
}

/// <summary>What of a crashed guest's memory is taken.</summary>
public enum MemoryPolicy
{
    /// <summary>All where the pause for it is short enough, else as <see cref="Mini"/>.</summary>
    Auto,
    Full,

    /// <summary>What the kernel's log, the trace and the list of tasks need.</summary>
    Mini,
    None,
}

/// <summary>What is done with a crashed guest once its memory has been seen to.</summary>
public enum CrashAction
{
    /// <summary>It goes on: writes its crash record and reboots, if its kernel is set up to.</summary>
    Continue,

    /// <summary>It stays as it is, for somebody to look at.</summary>
    Stop,
    Reset,
}
