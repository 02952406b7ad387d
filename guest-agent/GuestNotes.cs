using VsockPair.Protocol;

namespace VsockPair.GuestAgent;

/// <summary>What this guest lacks: said once in the agent's log, and to the collector in each Hello.</summary>
internal sealed class GuestNotes
{
    private readonly List<string> _lines = [];

    public IReadOnlyList<string> Lines => _lines;

    public string? Find(string beginning) => _lines.Find(l => l.StartsWith(beginning, StringComparison.Ordinal));

    public void Add(string line)
    {
        AgentLog.Warning(line);
        if (_lines.Count < Wire.MaxNotes)
        {
            _lines.Add(line);
        }
    }
}
