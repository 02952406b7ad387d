using System.Runtime.InteropServices;

namespace VsockPair.Storage;

/// <summary>
/// The few calls of libzstd, by their names in <c>zstd.h</c>. The C library and not a managed port of it: the garbage collector waits for a thread that runs managed
/// code, and a thread of idle priority on a busy host takes seconds to get there; it does not wait for one inside a native call.
/// </summary>
internal static unsafe partial class Zstd
{
    /// <summary>ZSTD_cParameter.</summary>
    private const int ZSTD_c_compressionLevel = 100;
    private const int ZSTD_c_checksumFlag = 201;

    private const string Library = "libzstd.so.1";

    public static string MissingMessage => $"{Library} cannot be loaded: install zstd's library (Debian: libzstd1; others: libzstd)";

    /// <summary>Compresses one frame at a time, each with a checksum of its content.</summary>
    public sealed class Encoder : IDisposable
    {
        private readonly nint _context;

        public Encoder(int level)
        {
            _context = ZSTD_createCCtx();
            if (_context == 0)
            {
                throw new InsufficientMemoryException("libzstd has no memory for a compressor");
            }
            Check(ZSTD_CCtx_setParameter(_context, ZSTD_c_compressionLevel, level));
            Check(ZSTD_CCtx_setParameter(_context, ZSTD_c_checksumFlag, 1));
        }

        /// <summary>Room that a frame of so much content needs at most.</summary>
        public static int MostBytes(int content) => (int)ZSTD_compressBound((nuint)content);

        /// <returns>Length of the frame.</returns>
        public int Compress(ReadOnlySpan<byte> content, Span<byte> frame)
        {
            fixed (byte* source = content)
            fixed (byte* target = frame)
            {
                return (int)Check(ZSTD_compress2(_context, target, (nuint)frame.Length, source, (nuint)content.Length));
            }
        }

        public void Dispose() => _ = ZSTD_freeCCtx(_context);
    }

    /// <summary>Takes whole frames apart.</summary>
    public sealed class Decoder : IDisposable
    {
        private readonly nint _context = ZSTD_createDCtx();

        /// <returns>Length of the content.</returns>
        /// <exception cref="InvalidDataException">It is no such frame, its content is longer than the room for it, or its checksum is another.</exception>
        public int Decompress(ReadOnlySpan<byte> frame, Span<byte> content)
        {
            fixed (byte* source = frame)
            fixed (byte* target = content)
            {
                return (int)Check(ZSTD_decompressDCtx(_context, target, (nuint)content.Length, source, (nuint)frame.Length));
            }
        }

        public void Dispose() => _ = ZSTD_freeDCtx(_context);
    }

    private static nuint Check(nuint result) =>
        ZSTD_isError(result) == 0 ? result : throw new InvalidDataException(Marshal.PtrToStringUTF8(ZSTD_getErrorName(result)));

    [LibraryImport(Library)]
    private static partial nint ZSTD_createCCtx();

    [LibraryImport(Library)]
    private static partial nuint ZSTD_freeCCtx(nint context);

    [LibraryImport(Library)]
    private static partial nuint ZSTD_CCtx_setParameter(nint context, int parameter, int value);

    [LibraryImport(Library)]
    private static partial nuint ZSTD_compressBound(nuint bytes);

    [LibraryImport(Library)]
    private static partial nuint ZSTD_compress2(nint context, byte* target, nuint room, byte* source, nuint bytes);

    [LibraryImport(Library)]
    private static partial nint ZSTD_createDCtx();

    [LibraryImport(Library)]
    private static partial nuint ZSTD_freeDCtx(nint context);

    [LibraryImport(Library)]
    private static partial nuint ZSTD_decompressDCtx(nint context, byte* target, nuint room, byte* source, nuint bytes);

    [LibraryImport(Library)]
    private static partial uint ZSTD_isError(nuint result);

    [LibraryImport(Library)]
    private static partial nint ZSTD_getErrorName(nuint result);
}
