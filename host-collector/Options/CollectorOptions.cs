namespace VsockPair.Options;

/// <summary>What <c>serve</c> works with: the defaults below, the configuration over them, the command line over both. Every value has passed <see cref="OptionsReader"/>.</summary>
public sealed record CollectorOptions
{
    public const string DefaultConfig = "/etc/vsockpair/vsockpair.conf";
    public const string DefaultStore = "/var/lib/vsockpair";

    /// <summary>The file of <c>--config</c>; null for the default one.</summary>
    public string? ConfigFile { get; init; }

    /// <summary>Folder of the store (<c>--store</c>).</summary>
    public string StoreDirectory { get; init; } = DefaultStore;

    public StoreOptions Store { get; init; } = new();

    public LimitOptions Limits { get; init; } = new();

    public ListenOptions Listen { get; init; } = new();

    public WatchOptions Watch { get; init; } = new();

    /// <summary>The static map, one per <c>[Guest NAME]</c>, by name.</summary>
    public IReadOnlyList<GuestOptions> Guests { get; init; } = [];
}

/// <summary><c>[Store]</c>. Quotas are per guest and count blocks; SegmentBytes counts size.</summary>
public sealed record StoreOptions
{
    public long SegmentBytes { get; init; } = 64L << 20;

    public TimeSpan SegmentAge { get; init; } = TimeSpan.FromMinutes(15);

    public long TraceQuota { get; init; } = 1L << 30;

    public long KmsgQuota { get; init; } = 64L << 20;

    /// <summary>Most that all guests together may take of the file system, as a fraction of 1.</summary>
    public double TotalShare { get; init; } = 0.20;

    /// <summary>What stays free of the file system, as a fraction of 1.</summary>
    public double KeepFree { get; init; } = 0.05;

    public TimeSpan MaxAge { get; init; } = TimeSpan.FromDays(7);

    /// <summary>A guest unseen for so long, and without a case, shrinks to one line.</summary>
    public TimeSpan ForgetAfter { get; init; } = TimeSpan.FromDays(7);
}

/// <summary><c>[Limits]</c>. Rates are bytes per second.</summary>
public sealed record LimitOptions
{
    public long GuestRate { get; init; } = 4L << 20;

    public long HostRate { get; init; } = 64L << 20;

    /// <summary>vCPU numbers from here on are refused.</summary>
    public int MaxCpus { get; init; } = 1024;
}

/// <summary><c>[Listen]</c>.</summary>
public sealed record ListenOptions
{
    public IReadOnlyList<ListenSpec> Specs { get; init; } = [ListenSpec.Default];

    /// <summary>Accept CID 1, this host itself, as guest <c>cid-1</c>.</summary>
    public bool AllowLoopback { get; init; }
}

/// <summary><c>[Guest NAME]</c>: how the host knows this guest, where no two share an answer, and what is done when it crashes, where that is not as in <c>[Watch]</c>.</summary>
public sealed record GuestOptions(string Name)
{
    public uint? Cid { get; init; }

    /// <summary>The VMM's own socket (hybrid vsock): <c>serve</c> listens beside it as for <c>hybrid:SOCKET=NAME</c>.</summary>
    public string? Socket { get; init; }

    public Guid? Uuid { get; init; }

    public MemoryPolicy? Memory { get; init; }

    public CrashAction? Action { get; init; }
}
