using System.Buffers.Binary;

namespace VsockPair.Memory;

/// <summary>
/// The ELF notes of a dump: <c>NT_PRSTATUS</c> and QEMU's own note for each vCPU, and what the guest calls its VMCOREINFO, which QEMU copies out of guest memory as it is.
/// </summary>
internal sealed class CoreNotes
{
    /// <summary>1024 vCPUs take 0.8 MiB, the largest VMCOREINFO 1 MiB.</summary>
    public const int MaxBytes = 8 << 20;

    private const int HeaderBytes = 12;
    private const int MaxNotes = 1 << 14;

    private readonly byte[] _bytes;
    private readonly List<CoreNote> _notes = [];

    private CoreNotes(byte[] bytes)
    {
        _bytes = bytes;
    }

    public static CoreNotes Empty { get; } = new([]);

    public IReadOnlyList<CoreNote> All => _notes;

    /// <summary>As they stand in the file.</summary>
    public ReadOnlyMemory<byte> Bytes => _bytes;

    /// <summary>Reads until the bytes make no sense any more.</summary>
    public static CoreNotes Parse(byte[] bytes)
    {
        CoreNotes notes = new(bytes);
        long at = 0;
        while (at + HeaderBytes <= bytes.Length && notes._notes.Count < MaxNotes)
        {
            ReadOnlySpan<byte> header = bytes.AsSpan((int)at, HeaderBytes);
            uint nameBytes = BinaryPrimitives.ReadUInt32LittleEndian(header);
            uint contentBytes = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
            long nameAt = at + HeaderBytes;
            long contentAt = nameAt + Padded(nameBytes);
            if (contentAt + contentBytes > bytes.Length)
            {
                break;
            }
            ReadOnlySpan<byte> name = bytes.AsSpan((int)nameAt, (int)nameBytes).TrimEnd((byte)0);
            notes._notes.Add(new CoreNote(KindOf(name), BinaryPrimitives.ReadUInt32LittleEndian(header[8..]), (int)contentAt, (int)contentBytes));
            at = contentAt + Padded(contentBytes);
        }
        return notes;
    }

    public ReadOnlySpan<byte> ContentOf(CoreNote note) => _bytes.AsSpan(note.ContentAt, note.ContentBytes);

    /// <summary>The guest's VMCOREINFO; null when there is none.</summary>
    public CoreNote? FindVmcoreInfo() => _notes.Find(n => n.Kind == CoreNoteKind.VmcoreInfo);

    private static long Padded(uint bytes) => (bytes + 3L) & ~3L;

    private static CoreNoteKind KindOf(ReadOnlySpan<byte> name) =>
        name.SequenceEqual("CORE"u8) ? CoreNoteKind.Core
        : name.SequenceEqual("QEMU"u8) ? CoreNoteKind.Qemu
        : name.SequenceEqual("VMCOREINFO"u8) ? CoreNoteKind.VmcoreInfo
        : CoreNoteKind.Other;
}

internal enum CoreNoteKind
{
    Other,
    Core,
    Qemu,
    VmcoreInfo,
}

internal sealed record CoreNote(CoreNoteKind Kind, uint Type, int ContentAt, int ContentBytes);
