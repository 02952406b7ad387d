using System.Text;
using VsockPair.Decoding;
using VsockPair.History;
using VsockPair.Memory;

namespace VsockPair.Cases;

/// <summary>The memory of a case, opened, with all that is stored of its kernel. What is in it was written by the guest.</summary>
internal sealed class VmcoreReader : IDisposable
{
    private readonly MemoryFile _file;
    private readonly CaseSource _source;
    private readonly KernelMemory? _kernel;
    private readonly VmcoreInfo? _info;
    private readonly string _noKernel = "";
    private StoredKernel? _stored;

    private VmcoreReader(CaseSource source, MemoryFile file)
    {
        _source = source;
        _file = file;
        if (!VmcoreInfoSource.TryFind(file, file.Notes, OfBoot("vmcoreinfo"), out _info, out string? reason) || !KernelMemory.TryOpen(file, _info, out _kernel, out reason))
        {
            _noKernel = reason;
        }
    }

    /// <summary>Null when the memory does not say it.</summary>
    public string? BuildId => _info?.BuildId;

    /// <summary><c>uname -r</c>; null when the memory does not say it.</summary>
    public string? Release => _info?.Release;

    /// <exception cref="MissingPartException">There is none, or it cannot be read.</exception>
    public static VmcoreReader Open(CaseSource source)
    {
        string path = Path.Combine(source.Folder, CasePaths.Vmcore);
        if (!File.Exists(path))
        {
            throw new MissingPartException($"there is no memory: {MemoryParts.Lacks(source.Event, hasFile: false)}");
        }
        return MemoryFiles.TryOpen(path, out MemoryFile? file, out string? reason) ? new VmcoreReader(source, file) : throw new MissingPartException($"the memory cannot be read: {reason}");
    }

    public PartContent WriteDmesg(Stream target)
    {
        using StreamWriter text = TextOf(target);
        PrintkReport report = PrintkRing.Write(Kernel, text, PrintkLimits.File);
        return report.Records == 0 ? throw new MissingPartException(report.Missing ?? "the log is empty") : new PartContent(PartContent.FromMemory, Cut(report.Missing));
    }

    public PartContent WriteTasks(Stream target)
    {
        StoredKernel stored = Stored;
        TaskList tasks = TaskList.TryRead(Kernel, stored.Types, stored.Addresses, out string fault) ?? throw new MissingPartException(fault);
        using StreamWriter text = TextOf(target);
        tasks.Write(text);
        return new PartContent(PartContent.FromMemory, Cut(tasks.IsComplete ? null : "not all tasks could be read"));
    }

    public PartContent WriteRegisters(Stream target)
    {
        KernelSymbols symbols = KernelSymbols.Parse(OfBoot("kallsyms"), OfBoot("kallsyms-boot"));
        using StreamWriter text = TextOf(target);
        return CpuRegisters.Write(_file.Notes, symbols, text) == 0
            ? throw new MissingPartException("the memory came without registers")
            : new PartContent(PartContent.FromMemory, null);
    }

    /// <summary>Puts what was in the trace rings and nobody had read beside the case's other files.</summary>
    /// <returns>What could not be read, or null.</returns>
    public string? WriteRings()
    {
        StoredKernel stored = Stored;
        FtraceRings rings = FtraceRings.TryOpen(Kernel, stored.Types, stored.Addresses, out string fault) ?? throw new MissingPartException(fault);
        List<string> faults = [];
        MemoryTrace.Write(_source.Folder, rings.Open(FtraceRings.AgentInstance, faults));
        return Cut(faults.Count == 0 ? null : string.Join("; ", faults));
    }

    public void Dispose() => _file.Dispose();

    private KernelMemory Kernel => _kernel ?? throw new MissingPartException(_noKernel);

    /// <summary>Megabytes of types and symbols, for the tasks and for the rings.</summary>
    private StoredKernel Stored => _stored ??= StoredKernel.TryFind(_source.Store, Kernel.Info, _source.Dead, out string fault) ?? throw new MissingPartException(fault);

    private string? Cut(string? lacks) => _file.IsTruncated ? string.Join("; ", new[] { lacks, "the memory ends before it should" }.OfType<string>()) : lacks;

    /// <summary>What is only true of the boot that died.</summary>
    private byte[] OfBoot(string name) => (_source.Dead is null ? null : new BootMetadata(_source.Store, _source.Dead).Read(name)) ?? [];

    private static StreamWriter TextOf(Stream target) => new(target, new UTF8Encoding(false), leaveOpen: true) { NewLine = "\n" };
}
