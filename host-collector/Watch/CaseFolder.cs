using System.Text.Json;
using VsockPair.Cases;
using VsockPair.Storage;

namespace VsockPair.Watch;

/// <summary>One case's folder and its <c>event.json</c>, which says how far it is: whatever kills this process, the next one reads there what is left to do.</summary>
internal sealed class CaseFolder
{
    private readonly Lock _gate = new();
    private readonly DiskReserve _reserve;
    private CaseEvent _event;
    private long _unsaved;

    internal CaseFolder(string folder, CaseEvent caseEvent, DiskReserve reserve)
    {
        Folder = folder;
        _event = caseEvent;
        _reserve = reserve;
    }

    public string Folder { get; }

    public string Id => _event.Id;

    public CaseEvent Event => _event;

    public string Vmcore => Path.Combine(Folder, CasePaths.Vmcore);

    public string PartialVmcore => Vmcore + CasePaths.PartialSuffix;

    public CaseManifest? Manifest => DurableFile.TryRead(CasePaths.Manifest(Folder), CaseJson.Default.CaseManifest);

    /// <summary>Someone in this process is at work on the machine for it: it is nobody else's.</summary>
    public bool IsInHand { get; set; }

    /// <summary>Survives power loss. On a full disk out of the store's reserve.</summary>
    /// <exception cref="IOException">Not even that.</exception>
    public void Update(Func<CaseEvent, CaseEvent> change)
    {
        lock (_gate)
        {
            CaseEvent changed = change(_event);
            if (changed != _event)
            {
                // What is done goes by what was meant to be written, also when the disk did not take it: a guest must not be held for it.
                _event = changed;
                int bytes = JsonSerializer.SerializeToUtf8Bytes(changed, CaseJson.Default.CaseEvent).Length;
                _reserve.WriteWithReserve(bytes, () => DurableFile.ReplaceSynced(CasePaths.Event(Folder), changed, CaseJson.Default.CaseEvent));
            }
        }
    }

    /// <summary>Counts further events of this crash; written by the next <see cref="Update"/> or <see cref="SaveRepeats"/>, for a guest can raise them as fast as it likes.</summary>
    public void AddRepeats(long count)
    {
        lock (_gate)
        {
            _unsaved += count;
        }
    }

    public void SaveRepeats()
    {
        lock (_gate)
        {
            if (_unsaved > 0)
            {
                long count = _unsaved;
                _unsaved = 0;
                Update(e => e with { Repeats = Saturating.Add(e.Repeats, count) });
            }
        }
    }
}
