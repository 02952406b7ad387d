using VsockPair.Linux;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Cases;

/// <summary>
/// Makes the parts of one case, and last the manifest that lists them: from event.json, the memory beside it and the store. May be run again at any time and after a death
/// at any point: each file is whole or not there, and a part that cannot be made anew stays as it is. One at a time for each case.
/// </summary>
internal sealed class CaseAssembly
{
    private readonly CaseSource _source;
    private readonly Action<string>? _reached;
    private readonly CaseManifest? _before;
    private readonly List<CasePart> _parts = [];
    private readonly List<MissingPart> _missing = [];
    private string? _buildId;

    private CaseAssembly(CaseSource source, Action<string>? reached)
    {
        _source = source;
        _reached = reached;
        _buildId = source.BuildId;
        _before = DurableFile.TryRead(CasePaths.Manifest(source.Folder), CaseJson.Default.CaseManifest);
    }

    private DateTimeOffset Now => _source.Time.GetUtcNow();

    /// <param name="final">Nothing more is waited for.</param>
    /// <param name="reached">Called before each part: tests die there.</param>
    /// <exception cref="IOException">The manifest cannot be written, or the case is being assembled already.</exception>
    public static CaseManifest Run(CaseSource source, bool final, VmlinuxSearch vmlinux, Action<string>? reached = null)
    {
        using Fd folder = Fd.Own(Sys.Open(source.Folder, Constants.O_RDONLY), "open", source.Folder);
        if (Sys.TryLock(folder.Value) is < 0 and int error)
        {
            throw error == -Errno.EAGAIN ? new IOException($"case {source.Event.Id} is being assembled by another process; wait for it") : new LinuxException("flock", -error, source.Folder);
        }
        return new CaseAssembly(source, reached).Run(final, vmlinux);
    }

    private CaseManifest Run(bool final, VmlinuxSearch vmlinux)
    {
        using ManifestFile manifest = new(_source.Folder, _source.Limits.ManifestReserve);
        string? rings = AddFromMemory();
        AddPstore();
        Add(CasePaths.Kmsg, (file, stop) => KmsgPart.Write(_source, _parts, file, stop));
        Add(CasePaths.Trace, (file, stop) => TracePart.Write(_source, rings, file, stop));
        if (HasVmcore && !IsKnown(CasePaths.Vmcore))
        {
            // A memory as large as the guest's takes minutes: until then, and should somebody end this, there is a case without it.
            DurableFile.SyncFolder(_source.Folder);
            manifest.Publish(Manifest(final: false) with { Missing = [.. _missing, new MissingPart(CasePaths.Vmcore, "it is there, and its SHA-256 not computed yet")] });
        }
        AddVmcore();
        CaseManifest result = Manifest(final);
        Add(CasePaths.ReadMe, (file, _) =>
        {
            CaseText.WriteReadMe(file, new StoredCase(_source.Folder, _source.Event, result), _source, vmlinux);
            return new PartContent(PartContent.FromHost, null);
        });
        _reached?.Invoke("manifest.json");
        DurableFile.SyncFolder(_source.Folder);
        result = Manifest(final);
        manifest.Publish(result);
        return result;
    }

    private CaseManifest Manifest(bool final) => new()
    {
        Id = _source.Event.Id,
        Guest = _source.Event.Guest,
        BootId = _source.Dead?.Record?.BootId,
        Kind = _source.Event.Kind,
        Time = _source.Event.Time,
        BuildId = _buildId,
        Closed = _before?.Closed ?? (final ? Now : null),
        Parts = [.. _parts],
        Missing = [.. _missing],
    };

    private void Add(string name, Func<Stream, CancellationToken, PartContent> write)
    {
        _reached?.Invoke(name);
        string? lacks = Guard(_source.Limits.PartTime, stop =>
        {
            using CaseFile file = CaseFile.Create(_source.Folder, name);
            PartContent content = write(file.Stream, stop);
            _reached?.Invoke(name + " written");
            _parts.Add(file.Publish(content.Source, content.Lacks is null, Now));
            return content.Lacks;
        });
        if (lacks is null)
        {
            return;
        }
        if (_parts.All(p => p.Path != name))
        {
            lacks = Keep(name) ? $"it could not be made anew: {lacks}" : lacks;
        }
        _missing.Add(new MissingPart(name, lacks));
    }

    /// <summary>A fault in one part is that part's; the others go on.</summary>
    /// <returns>What is missing of the part, or null.</returns>
    private string? Guard(TimeSpan limit, Func<CancellationToken, string?> work)
    {
        using CancellationTokenSource stop = new(limit);
        try
        {
            return work(stop.Token);
        }
        catch (MissingPartException e)
        {
            return e.Message;
        }
        catch (OperationCanceledException)
        {
            return $"it took more than {Units.Duration(limit)}";
        }
        catch (OutOfMemoryException)
        {
            return "it needs more memory than a case may take";
        }
        catch (IOException e) when (DiskReserve.IsFull(e))
        {
            return "the disk is full";
        }
        catch (Exception e)
        {
            _source.Remarks.WriteLine($"case {_source.Event.Id}: {e}");
            return $"it failed: {e.Message}";
        }
    }

    /// <summary>What an earlier run made is better than nothing.</summary>
    /// <returns>Whether there is such a file.</returns>
    private bool Keep(string name)
    {
        if (!File.Exists(Path.Combine(_source.Folder, name)))
        {
            return false;
        }
        string? fault = Guard(_source.Limits.PartTime, stop =>
        {
            string source = _before?.Parts.FirstOrDefault(p => p.Path == name)?.Source ?? PartContent.FromStream;
            _parts.Add(Describe(name, source, complete: false, stop));
            return null;
        });
        return fault is null;
    }

    /// <returns>Why the trace rings could not be read out of the memory, or not all of them; null when they were.</returns>
    private string? AddFromMemory()
    {
        VmcoreReader? memory = null;
        string? missing = Guard(_source.Limits.PartTime, _ =>
        {
            memory = VmcoreReader.Open(_source);
            return null;
        });
        using (memory)
        {
            VmcoreReader Memory() => memory ?? throw new MissingPartException(missing ?? "");
            _buildId = memory?.BuildId ?? _buildId;
            Add(CasePaths.Dmesg, (file, _) => Memory().WriteDmesg(file));
            Add(CasePaths.Tasks, (file, _) => Memory().WriteTasks(file));
            Add(CasePaths.Registers, (file, _) => Memory().WriteRegisters(file));
            _reached?.Invoke(MemoryTrace.FolderName);
            return Guard(_source.Limits.PartTime, _ => Memory().WriteRings());
        }
    }

    private void AddPstore()
    {
        IReadOnlyList<string> names = [];
        string? missing = Guard(_source.Limits.PartTime, _ =>
        {
            names = PstorePart.Names(_source);
            return null;
        });
        if (missing is not null)
        {
            _missing.Add(new MissingPart(CasePaths.Pstore, missing));
            return;
        }
        Directory.CreateDirectory(Path.Combine(_source.Folder, CasePaths.Pstore), CasePaths.FolderMode);
        foreach (string name in names)
        {
            Add($"{CasePaths.Pstore}/{name}", (file, _) => PstorePart.Write(_source, name, file));
        }
        DurableFile.SyncFolder(Path.Combine(_source.Folder, CasePaths.Pstore));
    }

    /// <summary>The memory itself is watch's; it is only looked at here.</summary>
    private void AddVmcore()
    {
        _reached?.Invoke(CasePaths.Vmcore);
        string? lacks = MemoryParts.Lacks(_source.Event, HasVmcore);
        string? fault = !HasVmcore ? null : Guard(_source.Limits.MemoryTime, stop =>
        {
            _parts.Add(Describe(CasePaths.Vmcore, PartContent.FromMemory, lacks is null, stop));
            return null;
        });
        if ((fault ?? lacks) is string reason)
        {
            _missing.Add(new MissingPart(CasePaths.Vmcore, reason));
        }
    }

    private bool HasVmcore => File.Exists(Path.Combine(_source.Folder, CasePaths.Vmcore));

    private bool IsKnown(string name) => KnownHash(name, new FileInfo(Path.Combine(_source.Folder, name))) is not null;

    private string? KnownHash(string name, FileInfo file) => _before?.Parts.FirstOrDefault(p => p.Path == name && p.Bytes == file.Length && p.Time == file.LastWriteTimeUtc)?.Sha256;

    /// <summary>A file that is there, of which nothing is read that an earlier run has read: a vmcore may be as large as the guest.</summary>
    private CasePart Describe(string name, string source, bool complete, CancellationToken stop)
    {
        using FileStream file = CaseFile.OpenForReading(_source.Folder, name);
        FileInfo found = new(Path.Combine(_source.Folder, name));
        return new CasePart(name, source, file.Length, KnownHash(name, found) ?? FileHash.Of(file, stop), new DateTimeOffset(found.LastWriteTimeUtc, TimeSpan.Zero), complete);
    }
}
