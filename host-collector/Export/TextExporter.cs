using System.Text;
using VsockPair.Decoding;
using VsockPair.History;
using VsockPair.Text;
using VsockPair.Tracing;

namespace VsockPair.Export;

/// <summary>
/// The lines of <c>trace-cmd report</c>. A text is likely to be shown on a terminal, now or later, and taken line by line: of what guests chose, control characters, line feeds and
/// bytes that are no text are escaped, which is all that differs. One event is one line, and one more for each function of a stack.
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
        _line.AppendDecimal((long)source.VcpuLimit);
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
        ReportText.AppendLoss(_line, vcpu, loss.Events is 0 ? null : loss.Events);
        EndLine();
        if (loss is { IsMore: true, Events: > 0 })
        {
            ReportText.AppendLoss(_line, vcpu, null);
            EndLine();
        }
    }

    protected override void End()
    {
    }

    private void EndLine()
    {
        for (int i = 0; i < _line.LineCount; i++)
        {
            Write(_line.Line(i));
            _target.WriteByte((byte)'\n');
        }
        _line.Clear();
    }

    private void Write(ReadOnlySpan<byte> rest)
    {
        while (rest.IndexOfAnyExceptInRange((byte)' ', (byte)'~') is int odd and >= 0)
        {
            _target.Write(rest[..odd]);
            rest = rest[odd..];
            int length = rest.IndexOfAnyInRange((byte)' ', (byte)'~');
            ReadOnlySpan<byte> escaped = length < 0 ? rest : rest[..length];
            rest = rest[escaped.Length..];
            while (!escaped.IsEmpty)
            {
                // Tabs are trace-cmd's own as well as the guest's, and do no harm.
                int tab = escaped.IndexOf((byte)'\t');
                _target.Write(Encoding.UTF8.GetBytes(TerminalText.Escape(tab < 0 ? escaped : escaped[..tab])));
                _target.Write(tab < 0 ? default : "\t"u8);
                escaped = tab < 0 ? default : escaped[(tab + 1)..];
            }
        }
        _target.Write(rest);
    }
}
