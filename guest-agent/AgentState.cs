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
        _cannotSave = @lock is null;
        Ring = ring;
    }

    public RingState Ring { get; private set; }

    /// <summary>Why nothing is known of an earlier agent, or nothing will be left to the next; null when all is well.</summary>
    public string? Fault { get; private init; }

    /// <summary>Null when another agent uses the folder.</summary>
    public static AgentState? Open(string folder, Guid bootId)
    {
        RingState fresh = new() { BootId = bootId };
        int made = Sys.MakeDirectory(folder, 0x1ED);
        if (made is < 0 and not -Errno.EEXIST)
        {
            return new AgentState(folder, null, fresh) { Fault = Explain($"mkdir {folder}: {Errno.Describe(-made)}") };
        }
        string path = Path.Combine(folder, "lock");
        int opened = Sys.Open(path, Constants.O_RDWR | Constants.O_CREAT, 0x180);
        if (opened < 0)
        {
            return new AgentState(folder, null, fresh) { Fault = Explain($"open {path}: {Errno.Describe(-opened)}") };
        }
        Fd held = new(opened);
        if (Sys.TryLock(held.Value) < 0)
        {
            held.Dispose();
            return null;
        }
        try
        {
            return new AgentState(folder, held, RingState.Load(folder, bootId) ?? fresh);
        }
        catch (LinuxException e)
        {
            return new AgentState(folder, held, fresh) { Fault = $"an earlier agent's state is unknown, beginning a new trace ring: {e.Message}" };
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
        catch (LinuxException e)
        {
            _cannotSave = true;
            AgentLog.Warning(Explain(e.Message));
        }
    }

    public void Dispose() => _lock?.Dispose();

    private static string Explain(string reason) => $"no state is kept, a restart of the agent will begin a new trace ring: {reason}";
}
