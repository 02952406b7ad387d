using System.Buffers.Binary;

namespace VsockPair.Memory;

/// <summary>
/// The memory of a guest that stands still, a page at a time from <c>watch</c> (<see cref="MemoryRequest"/>). Pages are kept, so that each is asked for once; those that a reader
/// wants together are asked for together.
/// </summary>
internal sealed class RemoteMemory : IPhysicalMemory
{
    private const int PageBytes = MemoryRequest.PageBytes;
    private const int MaxPagesOfRequest = MemoryRequest.MaxLength / PageBytes;

    private readonly Stream _answers;
    private readonly Stream _requests;
    private readonly Dictionary<ulong, byte[]> _pages = [];
    private readonly HashSet<MemoryRequest> _absent = [];
    private bool _ended;

    private RemoteMemory(Stream answers, Stream requests, CoreNotes notes)
    {
        _answers = answers;
        _requests = requests;
        Notes = notes;
    }

    public CoreNotes Notes { get; }

    /// <exception cref="IOException">The other side is gone.</exception>
    public static RemoteMemory Open(Stream answers, Stream requests)
    {
        byte[] length = new byte[sizeof(uint)];
        answers.ReadExactly(length);
        uint bytes = BinaryPrimitives.ReadUInt32LittleEndian(length);
        if (bytes > CoreNotes.MaxBytes)
        {
            throw new IOException($"notes of {bytes} bytes");
        }
        byte[] notes = new byte[bytes];
        answers.ReadExactly(notes);
        return new RemoteMemory(answers, requests, CoreNotes.Parse(notes));
    }

    public bool TryRead(ulong address, Span<byte> target)
    {
        if ((ulong)target.Length > ulong.MaxValue - address)
        {
            return false;
        }
        while (target.Length > 0)
        {
            ulong page = address / PageBytes;
            if (!_pages.TryGetValue(page, out byte[]? content))
            {
                ulong last = (address + (ulong)target.Length - 1) / PageBytes;
                if (!TryFetch(page, CountUnknown(page, last)))
                {
                    return false;
                }
                content = _pages[page];
            }
            ReadOnlySpan<byte> rest = content.AsSpan((int)(address % PageBytes));
            int count = Math.Min(target.Length, rest.Length);
            rest[..count].CopyTo(target);
            target = target[count..];
            address += (ulong)count;
        }
        return true;
    }

    /// <summary>Lets the guest go on.</summary>
    /// <exception cref="IOException">The other side is gone.</exception>
    public void End() => Send(default);

    private int CountUnknown(ulong page, ulong last)
    {
        int count = 1;
        while (count < MaxPagesOfRequest && page + (ulong)count <= last && !_pages.ContainsKey(page + (ulong)count))
        {
            count++;
        }
        return count;
    }

    private bool TryFetch(ulong page, int count)
    {
        MemoryRequest request = new(page * PageBytes, (uint)(count * PageBytes));
        if (_ended || _absent.Contains(request))
        {
            return false;
        }
        try
        {
            Send(request);
            byte[] content = new byte[request.Length];
            Span<byte> answer = content.AsSpan(0, 1);
            _answers.ReadExactly(answer);
            if (answer[0] != MemoryRequest.IsThere)
            {
                _absent.Add(request);
                return false;
            }
            _answers.ReadExactly(content);
            for (int i = 0; i < count; i++)
            {
                _pages.Add(page + (ulong)i, content.AsSpan(i * PageBytes, PageBytes).ToArray());
            }
            return true;
        }
        catch (IOException)
        {
            // A limit was reached: the guest goes on, and what has not been read stays unread.
            _ended = true;
            return false;
        }
    }

    private void Send(MemoryRequest request)
    {
        Span<byte> bytes = stackalloc byte[MemoryRequest.Bytes];
        request.Write(bytes);
        _requests.Write(bytes);
        _requests.Flush();
    }
}
