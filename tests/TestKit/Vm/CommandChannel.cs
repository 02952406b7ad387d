using System.Buffers.Binary;
using System.Text;

namespace VsockPair.TestKit.Vm;

/// <summary>
/// The test's end of Programs/command-server.c, where the frames are described. Commands may overlap. A reset of the guest fails
/// those under way; from then on bytes are skipped until the next boot's server says its magic.
/// </summary>
internal sealed class CommandChannel(Stream stream) : IDisposable
{
    private enum FrameType : uint
    {
        Run = 1,
        Kill = 2,
        Out = 3,
        Err = 4,
        Exit = 5,
    }

    private const int HeaderSize = 16;
    private const int LargestFrame = 64 * 1024; // the server sends 32 KiB at most
    private static ReadOnlySpan<byte> Magic => "VSOCKPAIR-READY\n"u8;

    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _writing = new(1);
    private readonly Dictionary<uint, PendingCommand> _pending = [];
    private TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _seekMagic = true;
    private uint _session;
    private uint _lastId;

    /// <summary>How many times the guest's command server has started.</summary>
    public int Boots { get; private set; }

    public bool IsReady => _ready.Task.IsCompletedSuccessfully;

    /// <summary>Completes when the server is up: at once, or after the boot under way.</summary>
    public Task Ready => _ready.Task;

    public async Task ReadAsync()
    {
        byte[] buffer = new byte[4 * LargestFrame];
        int filled = 0;
        int count;
        while ((count = await stream.ReadAsync(buffer.AsMemory(filled))) > 0)
        {
            filled += count;
            int used = Parse(buffer.AsSpan(0, filled));
            buffer.AsSpan(used, filled - used).CopyTo(buffer);
            filled -= used;
        }
    }

    /// <summary>Runs a command; cancelling kills it and its children in the guest.</summary>
    public async Task<CommandResult> RunAsync(string command, ReadOnlyMemory<byte> input, CancellationToken cancellationToken)
    {
        var pending = new PendingCommand();
        uint id;
        lock (_lock)
        {
            id = ++_lastId;
            _pending.Add(id, pending);
        }

        try
        {
            byte[] text = Encoding.UTF8.GetBytes(command);
            byte[] request = new byte[4 + text.Length + input.Length];
            BinaryPrimitives.WriteInt32LittleEndian(request, text.Length);
            text.CopyTo(request, 4);
            input.Span.CopyTo(request.AsSpan(4 + text.Length));
            await SendAsync(id, FrameType.Run, request).WaitAsync(cancellationToken);
            int exitCode = await pending.ExitCode.Task.WaitAsync(cancellationToken);
            return new CommandResult(command, exitCode, pending.Output.ToArray(), pending.Error.ToArray());
        }
        catch (OperationCanceledException)
        {
            if (IsReady)
            {
                // Best effort: a guest that takes no more bytes cannot be told to kill anything.
                Task kill = SendAsync(id, FrameType.Kill, default);
                await Task.WhenAny(kill, Task.Delay(TimeSpan.FromSeconds(1), CancellationToken.None));
            }

            throw;
        }
        finally
        {
            lock (_lock)
            {
                _pending.Remove(id);
            }
        }
    }

    /// <summary>The guest was reset: whatever was under way will never be answered.</summary>
    public void Reset(Exception reason)
    {
        List<PendingCommand> lost;
        lock (_lock)
        {
            _seekMagic = true;
            if (_ready.Task.IsCompleted)
            {
                _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            lost = [.. _pending.Values];
        }

        foreach (PendingCommand command in lost)
        {
            command.ExitCode.TrySetException(reason);
        }
    }

    public void Dispose()
    {
        stream.Dispose();
        _writing.Dispose();
    }

    // Not cancellable: half a frame would spoil those that follow.
    private async Task SendAsync(uint id, FrameType type, ReadOnlyMemory<byte> payload)
    {
        byte[] frame = new byte[HeaderSize + payload.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(frame, _session);
        BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(4), id);
        BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(8), (uint)type);
        BinaryPrimitives.WriteInt32LittleEndian(frame.AsSpan(12), payload.Length);
        payload.CopyTo(frame.AsMemory(HeaderSize));
        await _writing.WaitAsync();
        try
        {
            await stream.WriteAsync(frame);
        }
        finally
        {
            _writing.Release();
        }
    }

    /// <summary>Handles all that is complete; returns how many bytes are done with.</summary>
    private int Parse(ReadOnlySpan<byte> input)
    {
        int used = 0;
        while (true)
        {
            ReadOnlySpan<byte> rest = input[used..];
            if (_seekMagic)
            {
                int found = rest.IndexOf(Magic);
                if (found < 0 || rest.Length < found + Magic.Length + sizeof(uint))
                {
                    // The magic's beginning may be the end of what is here.
                    return found < 0 ? Math.Max(used, input.Length - (Magic.Length - 1)) : used + found;
                }

                used += found + Magic.Length + sizeof(uint);
                BeginSession(BinaryPrimitives.ReadUInt32LittleEndian(rest[(found + Magic.Length)..]));
                continue;
            }

            if (rest.Length < HeaderSize)
            {
                return used;
            }

            int length = BinaryPrimitives.ReadInt32LittleEndian(rest[12..]);
            if (BinaryPrimitives.ReadUInt32LittleEndian(rest) != _session || length is < 0 or > LargestFrame)
            {
                throw new InvalidDataException("the guest's command server sent something that is not a frame");
            }

            if (rest.Length < HeaderSize + length)
            {
                return used;
            }

            uint id = BinaryPrimitives.ReadUInt32LittleEndian(rest[4..]);
            Receive(id, (FrameType)BinaryPrimitives.ReadUInt32LittleEndian(rest[8..]), rest.Slice(HeaderSize, length));
            used += HeaderSize + length;
        }
    }

    private void BeginSession(uint session)
    {
        lock (_lock)
        {
            _session = session;
            _seekMagic = false;
            Boots++;
            _ready.TrySetResult();
        }
    }

    private void Receive(uint id, FrameType type, ReadOnlySpan<byte> payload)
    {
        PendingCommand? command;
        lock (_lock)
        {
            command = _pending.GetValueOrDefault(id);
        }

        switch (type)
        {
            case FrameType.Out:
                command?.Output.Write(payload);
                break;
            case FrameType.Err:
                command?.Error.Write(payload);
                break;
            case FrameType.Exit:
                command?.ExitCode.TrySetResult(BinaryPrimitives.ReadInt32LittleEndian(payload));
                break;
            default:
                throw new InvalidDataException($"the guest's command server sent a frame of unknown type {type}");
        }
    }

    private sealed class PendingCommand
    {
        public MemoryStream Output { get; } = new();

        public MemoryStream Error { get; } = new();

        public TaskCompletionSource<int> ExitCode { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
