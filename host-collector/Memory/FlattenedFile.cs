using System.Buffers.Binary;

namespace VsockPair.Memory;

/// <summary>
/// The flattened form of a dump (makedumpfile(8), "-F"; QEMU's <c>kdump-zlib</c> always has it): records of offset, size and bytes, numbers in big-endian order, that would
/// make the file if each were written at its offset. The file stays as it is; what is kept is where each record belongs.
/// </summary>
internal sealed class FlattenedFile : IByteSource
{
    private const int HeaderBytes = 4096;
    private const int RecordHeaderBytes = 16;
    private const long EndMark = -1;

    /// <summary>QEMU writes 16 KiB in a record: 64 GiB, compressed.</summary>
    private const int MaxRecords = 1 << 22;

    private readonly IByteSource _file;
    private readonly Extents _records;

    private FlattenedFile(IByteSource file, Extents records)
    {
        _file = file;
        _records = records;
        Length = (long)records.End;
    }

    public static ReadOnlySpan<byte> Magic => "makedumpfile\0\0\0\0"u8;

    public long Length { get; }

    public static FlattenedFile? TryOpen(IByteSource file, out string? reason)
    {
        List<Extent> records = [];
        Span<byte> header = stackalloc byte[RecordHeaderBytes];
        long at = HeaderBytes;
        while (file.TryRead(at, header))
        {
            long offset = BinaryPrimitives.ReadInt64BigEndian(header);
            long bytes = BinaryPrimitives.ReadInt64BigEndian(header[8..]);
            long content = at + RecordHeaderBytes;
            if (offset == EndMark)
            {
                break;
            }
            if (offset < 0 || bytes <= 0 || offset > long.MaxValue - bytes)
            {
                reason = $"a flattened dump whose record at byte {at} claims {bytes} bytes at offset {offset}";
                return null;
            }
            if (bytes > file.Length - content)
            {
                // The rest of a dump that was cut off.
                break;
            }
            if (records.Count == MaxRecords)
            {
                reason = $"a flattened dump of more than {MaxRecords} records; turn it into a plain one: makedumpfile -R OUT < IN";
                return null;
            }
            records.Add(new Extent((ulong)offset, (ulong)bytes, content));
            at = content + bytes;
        }
        Extents extents = new(records);
        reason = extents.End == 0 ? "a flattened dump without records"
            : extents.FirstOverlap is { } twice ? $"a flattened dump with two records for offset {twice.Address}"
            : null;
        return reason is null ? new FlattenedFile(file, extents) : null;
    }

    public bool TryRead(long offset, Span<byte> target) => offset >= 0 && _records.TryRead(_file, (ulong)offset, target);

    public void Dispose() => _file.Dispose();
}
