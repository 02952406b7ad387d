using VsockPair.Decoding;
using VsockPair.History;
using VsockPair.Tracing;

namespace VsockPair.Export;

/// <summary>One JSON object a line (<see cref="EventJson"/>): what it is of, then events and losses.</summary>
internal sealed class NdjsonExporter : EventExporter, IDisposable
{
    private EventJson? _json;
    private Stream _target = null!;

    public void Dispose() => _json?.Dispose();

    protected override void Begin(ExportSource source, EventCatalog catalog, Stream target)
    {
        _json = new EventJson(catalog, source.Clock);
        _target = target;
        target.Write(_json.Head(source));
    }

    protected override void WriteEvent(int vcpu, in RingEvent ringEvent, in RingEvent next) => _target.Write(_json!.Event(vcpu, ringEvent));

    protected override void WriteLoss(int vcpu, ulong? before, EventLoss loss) => _target.Write(_json!.Loss(vcpu, before, loss));

    protected override void End()
    {
    }
}
