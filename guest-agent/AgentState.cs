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
    private readonly IDisposable? _lock;
    private bool _cannotSave;

    private AgentState(string folder, IDisposable? @lock, RingState ring)
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
        try
        {
            // FileShare.None is an flock(2), which ends with the process.
            IDisposable held = File.OpenHandle(Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            return new AgentState(folder, held, RingState.Load(folder, bootId) ?? fresh);
        }
        catch (IOException)
        {
            return null;
        }
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
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _cannotSave = true;
            AgentLog.Warning($"{_folder} cannot be written, a restart will begin a new trace ring: {e.Message}");
        }
    }

    public void Dispose() => _lock?.Dispose();
}
