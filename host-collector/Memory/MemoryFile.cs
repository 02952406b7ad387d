using VsockPair.Watch;

namespace VsockPair.Memory;

/// <summary>A dump of a guest's memory: physical memory, and the notes that the VMM wrote beside it.</summary>
internal abstract class MemoryFile(IByteSource file) : IPhysicalMemory, IDisposable
{
    public abstract MemoryFormat Format { get; }

    public CoreNotes Notes { get; protected init; } = CoreNotes.Empty;

    /// <summary>The file ends before what its own header promises.</summary>
    public bool IsTruncated { get; protected init; }

    protected IByteSource File { get; } = file;

    public abstract bool TryRead(ulong address, Span<byte> target);

    public void Dispose() => File.Dispose();
}
