using Microsoft.Extensions.Logging.Abstractions;
using VsockPair.Options;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.HostCollector.Tests.Storage;

/// <summary>A store in a folder of its own with one guest, whose collector can die at any point: a new one then finds the folder as it was.</summary>
internal sealed class StoreFixture : IDisposable
{
    public const string GuestName = "web1";

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vp");

    public StoreFixture(StoreOptions? options = null)
    {
        Options = new CollectorOptions { StoreDirectory = _folder.FullName, Store = options ?? new StoreOptions { KeepFree = 0, TotalShare = 1 } };
        Store = Start();
    }

    public CollectorOptions Options { get; }

    public MovableClock Clock { get; } = new();

    private HostAge? _hostAge;

    public CollectorStore Store { get; private set; }

    public GuestStore Guest => Store.Guest(GuestName);

    public Guid BootId { get; } = Guid.NewGuid();

    public string BootFolder => StorePaths.Boot(Guest.Folder, BootId, 0);

    public IReadOnlyList<LossRecord> BootLosses => [.. LossLedger.Read(StorePaths.Losses(BootFolder))];

    public IReadOnlyList<LossRecord> GuestLosses => [.. LossLedger.Read(StorePaths.Losses(Guest.Folder))];

    public Retention Retention() => new(Store, Options.Store, new DiskState(), _hostAge ??= new HostAge(Clock), NullLogger<Retention>.Instance);

    public BootStore BeginSession() => BeginSession(BootId);

    /// <param name="bootClock">What the guest tells of its CLOCK_BOOTTIME.</param>
    public BootStore BeginSession(Guid bootId, string guestName = GuestName, long? bootClock = null)
    {
        using ScriptedGuest guest = new("unused");
        return Store.Guest(guestName).BeginSession(bootId, guest.ControlHello.Control with { BootClock = bootClock }, Guid.NewGuid());
    }

    /// <summary>The collector dies and another starts. Nothing that was in memory only is written.</summary>
    public void Restart()
    {
        Store.Dispose();
        Store = Start();
    }

    public long Lost(string source) => BootLosses.Where(l => l.Source == source).Sum(l => l.Events ?? 0);

    /// <summary>Stores sub-buffers as a bulk loop does.</summary>
    public static unsafe void Append(VcpuStream stream, byte[] bytes, int subBufferBytes)
    {
        fixed (byte* p = bytes)
        {
            Assert.Equal(AppendState.Stored, stream.Append(p, bytes.Length, subBufferBytes, out int consumed, out _));
            Assert.Equal(bytes.Length, consumed);
        }
    }

    public void Dispose()
    {
        Store.Dispose();
        _folder.Delete(recursive: true);
    }

    private CollectorStore Start() => new(Options, Clock, NullLogger<StorageWorker>.Instance);
}

/// <summary>Stands still unless it is moved: what a test may take must not depend on how long it takes.</summary>
internal sealed class MovableClock : TimeProvider
{
    private readonly DateTimeOffset _utcAtStart = TimeProvider.System.GetUtcNow();
    private readonly long _timestampAtStart = TimeProvider.System.GetTimestamp();

    private TimeSpan _ahead;

    private TimeSpan _set;

    public void Advance(TimeSpan by) => _ahead += by;

    /// <summary>Sets the clock of the day, which no time has passed for.</summary>
    public void Set(TimeSpan by) => _set += by;

    public override DateTimeOffset GetUtcNow() => _utcAtStart + _ahead + _set;

    public override long GetTimestamp() => _timestampAtStart + (long)(_ahead.TotalSeconds * TimestampFrequency);
}
