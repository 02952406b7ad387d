using System.Globalization;
using System.Text;
using VsockPair.Decoding;
using VsockPair.History;

namespace VsockPair.Export;

/// <summary>
/// <c>saved_cmdlines</c> as a .dat has it: each thread once, and no name that the beginning of the trace contradicts, so that a reader shows what <c>.txt</c> shows.
/// Written anew because trace-cmd ends its reading at the first line that it cannot read, and every thread of a guest can write such a line.
/// </summary>
internal static class SavedNames
{
    public static void Write(TraceDatFile file, ExportSource source, EventCatalog catalog, CancellationToken stop)
    {
        if (catalog.CommandLines.Names.Count == 0)
        {
            return;
        }
        ReportText report = new(catalog);
        Begin(report, source, stop);
        using MemoryStream text = new();
        foreach (int pid in catalog.CommandLines.Names.Keys)
        {
            ReadOnlySpan<byte> name = report.Names.Of(pid);
            // What cannot stand in a line was told by an event, from which trace-cmd has it as well.
            if (CommandLines.CanHold(name))
            {
                text.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{pid} ")));
                text.Write(name);
                text.WriteByte((byte)'\n');
            }
        }
        using MemoryStream body = new();
        file.Write(body, (ulong)text.Length);
        text.WriteTo(body);
        file.AddSection(TraceDatFile.CommandLines, body.GetBuffer().AsSpan(0, (int)body.Length));
    }

    /// <summary>Reads as far as names can change: to the first event of a thread that is not the idle one.</summary>
    private static void Begin(ReportText report, ExportSource source, CancellationToken stop)
    {
        TextLine line = new();
        using EventWalk walk = source.Walk();
        while (!report.Names.AreSettled && walk.TryReadNext())
        {
            stop.ThrowIfCancellationRequested();
            report.Append(line, walk.Vcpu, walk.Current, default);
            line.Clear();
        }
    }
}
