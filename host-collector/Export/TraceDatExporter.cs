using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using VsockPair.Commands;
using VsockPair.Decoding;
using VsockPair.History;
using VsockPair.Tracing;

namespace VsockPair.Export;

/// <summary>
/// trace.dat for trace-cmd and KernelShark. Sub-buffers go into it as the kernel wrote them, but for those at the ends of a range, those that a reader could stumble over
/// (<see cref="SubBufferCut.TryMend"/>), and those before which others than the kernel lost events: such a loss is written where the kernel would have written one of its own.
/// </summary>
internal sealed class TraceDatExporter : IExporter
{
    private const ushort OptionCpuStat = 2;
    private const ushort OptionBuffer = 3;
    private const ushort OptionUname = 5;
    private const ushort OptionCpuCount = 8;
    private const ushort OptionVersion = 9;
    private const ushort OptionTraceId = 11;
    private const ushort OptionTimeShift = 12;
    private const ushort OptionGuest = 13;

    private readonly ExportCounts _counts = new();
    private byte[] _rest = [];
    private byte[] _part = [];
    private byte[] _known = [];
    private EventCatalog _catalog = null!;
    private EventLoss _untold;

    public ExportCounts Write(ExportSource source, Stream target, ProgressBar progress, CancellationToken stop)
    {
        int slotBytes = PageSize.For(source);
        _rest = new byte[slotBytes];
        _part = new byte[slotBytes];
        _known = new byte[slotBytes];
        using TraceDatFile file = new(target, slotBytes);
        _catalog = new EventCatalog(source.Metadata.Names, source.Metadata.Read);
        _counts.Faults.AddRange(_catalog.Faults);
        AddMetadata(file, source.Metadata, _catalog, slotBytes);
        SavedNames.Write(file, source, _catalog, stop);
        file.AddOption(OptionUname, $"Linux {source.Guest.Name} {source.Boot.Record?.Kernel}");
        file.AddOption(OptionVersion, CommandLine.Version);
        file.AddOption(OptionTraceId, IdOf(source.Boot));
        file.AddOption(OptionGuest, GuestOf(file, source));
        if (source.Times.Line is not null)
        {
            file.AddOption(OptionTimeShift, TimeShift.Encode(file, source.Times, source.VcpuLimit));
        }

        long start = file.BeginBuffer();
        using MemoryStream option = new();
        file.Write(option, (ulong)start);
        option.WriteByte(0);
        option.Write(Encoding.UTF8.GetBytes((source.Boot.Record?.Clock ?? "boot") + '\0'));
        file.Write(option, (uint)slotBytes);
        file.Write(option, (uint)source.Recording.Vcpus.Count);
        for (int i = 0; i < source.Recording.Vcpus.Count; i++)
        {
            VcpuRecording vcpu = source.Recording.Vcpus[i];
            // Page aligned; the gap stays a hole.
            target.Position = (target.Position + slotBytes - 1) / slotBytes * slotBytes;
            long first = target.Position;
            long events = _counts.Events;
            using SubBufferReader reader = source.Read(vcpu);
            while (reader.TryReadNext())
            {
                stop.ThrowIfCancellationRequested();
                WriteSubBuffer(reader, target, slotBytes);
                progress.Show((i + source.FractionAt(reader.TimeStamp)) / source.Recording.Vcpus.Count, target.Position);
            }
            EventLoss atEnd = _untold.And(reader.Loss);
            _untold = default;
            _counts.Add(atEnd);
            _counts.Damage = _counts.Damage.And(reader.Damage);
            file.Write(option, (uint)vcpu.Number);
            file.Write(option, (ulong)first);
            file.Write(option, (ulong)(target.Position - first));
            file.AddOption(OptionCpuStat, StatsOf(vcpu, source.Losses.Of(vcpu), _counts.Events - events, atEnd));
        }
        target.SetLength(Math.Max(target.Length, target.Position));
        file.EndBuffer(start);
        file.AddOption(OptionBuffer, option.ToArray());
        // KernelShark asks for the CPUs below this number, whichever there are.
        Span<byte> cpus = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteInt32LittleEndian(cpus, source.VcpuLimit);
        file.AddOption(OptionCpuCount, cpus);
        file.End();
        return _counts;
    }

    /// <summary>Of the formats those that the other exports use, too: what we do not understand, trace-cmd had better not see.</summary>
    private static void AddMetadata(TraceDatFile file, BootMetadata metadata, EventCatalog catalog, int slotBytes)
    {
        using MemoryStream body = new();
        foreach (string name in new[] { "header_page", "header_event" })
        {
            byte[] text = metadata.Read($"events/{name}") ?? [];
            if (name == "header_page" && catalog.HeaderPage is not { CommitBytes: sizeof(ulong), DataOffset: SubBuffer.HeaderBytes })
            {
                // The sub-buffers are read, and written, as those of a 64-bit kernel, whatever the guest says of them.
                text = Encoding.ASCII.GetBytes(HeaderPage.Text(slotBytes));
            }
            body.Write(Encoding.ASCII.GetBytes(name + '\0'));
            file.Write(body, (ulong)text.Length);
            body.Write(text);
        }
        Take(file, TraceDatFile.HeaderInfo, body);

        ILookup<string, byte[]> systems = catalog.FormatFiles.ToLookup(name => name.Split('/')[1], name => metadata.Read(name) ?? []);
        WriteFormats(file, body, systems["ftrace"]);
        Take(file, TraceDatFile.FtraceFormats, body);

        IGrouping<string, byte[]>[] events = [.. systems.Where(s => s.Key != "ftrace")];
        file.Write(body, (uint)events.Length);
        foreach (IGrouping<string, byte[]> system in events)
        {
            body.Write(Encoding.UTF8.GetBytes(system.Key + '\0'));
            WriteFormats(file, body, system);
        }
        Take(file, TraceDatFile.EventFormats, body);

        AddText(file, TraceDatFile.Kallsyms, SymbolText.TryRestore(metadata), body);
        AddText(file, TraceDatFile.Printk, metadata.Read("printk_formats"), body);
    }

    private static void WriteFormats(TraceDatFile file, MemoryStream body, IEnumerable<byte[]> formats)
    {
        byte[][] all = [.. formats];
        file.Write(body, (uint)all.Length);
        foreach (byte[] format in all)
        {
            file.Write(body, (ulong)format.Length);
            body.Write(format);
        }
    }

    /// <summary>A section that is left out is one that a reader does without.</summary>
    private static void AddText(TraceDatFile file, ushort id, byte[]? text, MemoryStream body)
    {
        if (text is null or [])
        {
            return;
        }
        file.Write(body, (uint)text.Length);
        body.Write(text);
        Take(file, id, body);
    }

    private static void Take(TraceDatFile file, ushort id, MemoryStream body)
    {
        file.AddSection(id, body.GetBuffer().AsSpan(0, (int)body.Length));
        body.SetLength(0);
    }

    private void WriteSubBuffer(SubBufferReader reader, Stream target, int slotBytes)
    {
        ReadOnlySpan<byte> subBuffer = reader.SubBuffer;
        EventCursor events = new(subBuffer);
        _untold = _untold.And(EventLoss.Of(events)).And(reader.Loss);
        int count = 0;
        while (events.TryRead(out _))
        {
            count++;
        }
        if (new SubBuffer(subBuffer).UsedBytes > slotBytes)
        {
            Divide(subBuffer, target, slotBytes);
        }
        else if (count > 0)
        {
            // A reader looks for the loss at the first event: without one it waits for the next sub-buffer.
            WritePage(reader.SubBuffer[..Math.Min(subBuffer.Length, slotBytes)], count, target, slotBytes);
        }
    }

    /// <summary>One of the few that are larger than the file's pages. An event that no page has room for is lost to this format.</summary>
    private void Divide(ReadOnlySpan<byte> subBuffer, Stream target, int slotBytes)
    {
        Span<byte> page = _part.AsSpan(0, slotBytes);
        CursorPlace place = default;
        while (SubBufferCut.TryTake(subBuffer, ref place, page, out int taken))
        {
            if (taken == 0)
            {
                _untold = _untold.And(new EventLoss(true, 1));
            }
            else
            {
                WritePage(page, taken, target, slotBytes);
            }
        }
    }

    private void WritePage(Span<byte> page, int events, Stream target, int slotBytes)
    {
        _counts.Events += events;
        SubBufferCut.ClearLoss(page);
        if (!_untold.Any)
        {
            WriteSlot(page, target, slotBytes);
            return;
        }
        // trace-cmd ends its report where a loss stands before an event that it does not know: the loss comes behind all of those.
        int unknown = CountUnknown(page);
        if (unknown == events)
        {
            WriteSlot(page, target, slotBytes);
            return;
        }
        if (unknown > 0)
        {
            Span<byte> known = _known.AsSpan(0, page.Length);
            SubBufferCut.TrySplit(page, known, unknown);
            WriteSlot(page, target, slotBytes);
            page = known;
        }
        EventLoss loss = _untold;
        _untold = default;
        _counts.Add(loss);
        Span<byte> rest = _rest.AsSpan(0, page.Length);
        bool split = SubBufferCut.MarkLoss(page, loss.Mark, rest);
        WriteSlot(page, target, slotBytes);
        if (split)
        {
            WriteSlot(rest, target, slotBytes);
        }
    }

    private int CountUnknown(ReadOnlySpan<byte> page)
    {
        EventCursor events = new(page);
        int count = 0;
        while (events.TryRead(out RingEvent next) && _catalog.Find(next.Id) is null)
        {
            count++;
        }
        return count;
    }

    /// <summary>What is not used of a slot stays a hole.</summary>
    private static void WriteSlot(ReadOnlySpan<byte> page, Stream target, int slotBytes)
    {
        long end = target.Position + slotBytes;
        target.Write(page[..new SubBuffer(page).UsedBytes]);
        target.Position = end;
    }

    /// <summary>
    /// The kernel's own names for what it counts, then the host's. The ledgers are of the whole boot; the events read, and those lost behind the last of them, where no
    /// sub-buffer could tell of them, of what was exported. Entries are what a kernel still has in its ring.
    /// </summary>
    private static string StatsOf(VcpuRecording vcpu, VcpuLosses losses, long events, EventLoss atEnd) => string.Create(
        CultureInfo.InvariantCulture,
        $"CPU: {vcpu.Number}\nentries: 0\noverrun: {losses.Ring}\nread events: {events}\nlost in transport: {losses.Transport}\nremoved by retention: {losses.Retention}\n")
        + (atEnd.Any ? $"lost after the last event: {atEnd.Mark?.ToString(CultureInfo.InvariantCulture) ?? "an unknown number"}\n" : "");

    /// <summary>The name that belongs to the trace id. The host's threads behind the vCPUs are not known here, so none is listed.</summary>
    private static byte[] GuestOf(TraceDatFile file, ExportSource source)
    {
        using MemoryStream option = new();
        option.Write(Encoding.UTF8.GetBytes(source.Guest.Name + '\0'));
        option.Write(IdOf(source.Boot));
        file.Write(option, 0u);
        return option.ToArray();
    }

    /// <summary>The same boot has the same id in every export, so that files that refer to each other can be made at different times.</summary>
    public static byte[] IdOf(StoredBoot boot) => SHA256.HashData(Encoding.UTF8.GetBytes(boot.Name))[..sizeof(ulong)];
}
