using VsockPair.Decoding;
using VsockPair.History;
using VsockPair.Text;
using VsockPair.Tracing;

namespace VsockPair.Export;

/// <summary>
/// The lines of <c>trace-cmd report</c>. A text is likely to be shown on a terminal, now or later: of what guests chose, control characters and bytes that are no text are
/// escaped, which is all that differs.
/// </summary>
internal sealed class TextExporter : EventExporter
{
    private readonly TextLine _line = new();
    private ExportTimes _times = null!;
    private ReportText _report = null!;
    private Stream _target = null!;
    private bool _told;

    protected override void Begin(ExportSource source, EventCatalog catalog, Stream target)
    {
        _times = source.Times;
        _report = new ReportText(catalog);
        _target = target;
        // trace-cmd counts up to the highest one.
        _line.Append("cpus="u8);
        _line.AppendDecimal(source.Recording.Vcpus[^1].Number + 1L);
        EndLine();
    }

    protected override void WriteEvent(int vcpu, in RingEvent ringEvent, in RingEvent next)
    {
        if (_told)
        {
            // The line before has told of this event as well: a function that returned at once.
            _told = false;
            return;
        }
        _told = _report.Append(_line, vcpu, _times.Stamp(ringEvent), next);
        EndLine();
    }

    protected override void WriteLoss(int vcpu, ulong? before, EventLoss loss)
    {
        if (!_told)
        {
            ReportText.AppendLoss(_line, vcpu, loss.Events);
            EndLine();
        }
    }

    protected override void End()
    {
    }

    private void EndLine()
    {
        ReadOnlySpan<byte> rest = _line.Bytes;
        while (rest.IndexOfAnyExceptInRange((byte)' ', (byte)'~') is int odd and >= 0)
        {
            _target.Write(rest[..odd]);
            rest = rest[odd..];
            int length = rest.IndexOfAnyInRange((byte)' ', (byte)'~');
            ReadOnlySpan<byte> escaped = length < 0 ? rest : rest[..length];
            rest = rest[escaped.Length..];
            while (!escaped.IsEmpty)
            {
                // Tabs and line feeds are trace-cmd's own as well as the guest's.
                int space = escaped.IndexOfAny((byte)'\t', (byte)'\n');
                _target.Write(System.Text.Encoding.UTF8.GetBytes(TerminalText.Escape(space < 0 ? escaped : escaped[..space])));
                escaped = space < 0 ? default : escaped[space..];
                if (!escaped.IsEmpty)
                {
                    _target.WriteByte(escaped[0]);
                    escaped = escaped[1..];
                }
            }
        }
        _target.Write(rest);
        _target.WriteByte((byte)'\n');
        _line.Clear();
    }
}
