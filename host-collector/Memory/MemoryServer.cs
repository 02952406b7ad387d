using System.Buffers.Binary;
using System.Diagnostics;
using VsockPair.Watch;

namespace VsockPair.Memory;

/// <summary>
/// The side of <c>watch</c>: gives memory of a machine that stands still to a reader that parses it, and keeps all that it gave. The reader has parsed a guest's bytes, so it is
/// not trusted: it gets whole pages within two limits, and cannot make the guest stand longer than that.
/// </summary>
internal sealed class MemoryServer(IStandingMemory machine, MiniCoreWriter core)
{
    public const long MaxBytes = 64 << 20;

    /// <summary>From the first byte sent to the last one read.</summary>
    public static readonly TimeSpan MaxTime = TimeSpan.FromSeconds(1.5);

    private readonly byte[] _answer = new byte[1 + MemoryRequest.MaxLength];
    private long _bytes;
    private int _requests;

    /// <summary>Returns when the reader has all it needs, is gone, or a limit is reached; what was read until then is in the core, which the caller finishes.</summary>
    /// <exception cref="IOException">The core cannot be written.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="stop"/>.</exception>
    public async Task<MemoryReading> ServeAsync(byte[] notes, Stream requests, Stream answers, CancellationToken stop)
    {
        long start = Stopwatch.GetTimestamp();
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(stop);
        limit.CancelAfter(MaxTime);
        string? reason;
        try
        {
            reason = await AnswerAsync(notes, requests, answers, limit.Token);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            reason = $"reading took longer than {MaxTime.TotalSeconds:0.#} s";
        }
        catch (MachineException e)
        {
            reason = e.Message;
        }
        return new MemoryReading(_bytes, _requests, Stopwatch.GetElapsedTime(start), reason);
    }

    private async Task<string?> AnswerAsync(byte[] notes, Stream requests, Stream answers, CancellationToken stop)
    {
        const string gone = "the reader ended before it was done";
        byte[] length = new byte[sizeof(uint)];
        BinaryPrimitives.WriteInt32LittleEndian(length, notes.Length);
        if (!await TrySendAsync(answers, length, stop) || !await TrySendAsync(answers, notes, stop))
        {
            return gone;
        }
        while (true)
        {
            if (await TryReceiveAsync(requests, stop) is not { } request)
            {
                return gone;
            }
            if (request.IsEnd)
            {
                return null;
            }
            if (!request.IsValid)
            {
                return $"the reader asked for {request.Length} bytes at {request.Address:x}, which no reader does";
            }
            if (_bytes + request.Length > MaxBytes)
            {
                return $"what was to be read is more than {MaxBytes >> 20} MiB";
            }
            if (!await TryAnswerAsync(request, answers, stop))
            {
                return gone;
            }
        }
    }

    private async Task<bool> TryAnswerAsync(MemoryRequest request, Stream answers, CancellationToken stop)
    {
        _requests++;
        Memory<byte> content = _answer.AsMemory(1, (int)request.Length);
        bool isThere = await machine.ReadMemoryAsync(request.Address, content, stop);
        _answer[0] = isThere ? MemoryRequest.IsThere : MemoryRequest.IsNotThere;
        if (isThere)
        {
            core.Add(request.Address, content.Span);
            _bytes += request.Length;
        }
        return await TrySendAsync(answers, _answer.AsMemory(0, isThere ? 1 + content.Length : 1), stop);
    }

    // What a pipe has begun does not end by its token: the reader's death ends it.

    private static async Task<MemoryRequest?> TryReceiveAsync(Stream requests, CancellationToken stop)
    {
        byte[] bytes = new byte[MemoryRequest.Bytes];
        try
        {
            await requests.ReadExactlyAsync(bytes, stop).AsTask().WaitAsync(stop);
            return MemoryRequest.Read(bytes);
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static async Task<bool> TrySendAsync(Stream answers, ReadOnlyMemory<byte> bytes, CancellationToken stop)
    {
        try
        {
            await answers.WriteAsync(bytes, stop).AsTask().WaitAsync(stop);
            await answers.FlushAsync(stop);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }
}

/// <param name="Bytes">Read of the guest's memory.</param>
/// <param name="Reason">Why it is less than the reader wanted; null when it is not.</param>
internal sealed record MemoryReading(long Bytes, int Requests, TimeSpan Time, string? Reason);
