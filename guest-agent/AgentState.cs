using VsockPair.GuestAgent.Tracing;
using VsockPair.Linux;

namespace VsockPair.GuestAgent;

/// <summary>
/// The <see cref="RingState"/> of this boot, kept in a folder that no second agent may use at the same time. Where the folder cannot be written,
/// the agent works without: a restart then makes a new ring.
/// </summary>
internal sealed class AgentState : IDisposable
{
    private readonly string _folder;
    private readonly Fd? _lock;
    private bool _cannotSave;

    private AgentState(string folder, Fd? @lock, RingState ring)
    {
        _folder = folder;
        _lock = @lock;
        Ring = ring;
    }

    public RingState Ring { get; private set; }

    /// <summary>Null when another agent uses the folder.</summary>
    public static AgentState? Open(string folder, Guid bootId)
    {
        RingState fresh = new() { BootId = bootId };
        int made = Sys.MakeDirectory(folder, 0x1ED);
        if (made is < 0 and not -Errno.EEXIST)
        {
            AgentLog.Warning($"{folder} cannot be made, a restart will begin a new trace ring: {Errno.Describe(-made)}");
            return new AgentState(folder, null, fresh) { _cannotSave = true };
        }
        string path = Path.Combine(folder, "lock");
        Fd held = Fd.Own(Sys.Open(path, Constants.O_RDWR | Constants.O_CREAT, 0x180), "open", path);
        if (Sys.TryLock(held.Value) < 0)
        {
            held.Dispose();
            return null;
        }
        return new AgentState(folder, held, RingState.Load(folder, bootId) ?? fresh);
    }

    public void Change(RingState ring)
    {
        Ring = ring;
        if (_cannotSave)
        {
            return;
        }
        try
        {
            ring.Save(_folder);
        }
        catch (LinuxException e)
        {
            _cannotSave = true;
            AgentLog.Warning($"{_folder} cannot be written, a restart will begin a new trace ring: {e.Message}");
        }
    }

    public void Dispose() => _lock?.Dispose();
}
