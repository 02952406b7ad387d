using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;

namespace VsockPair.TestKit.Qmp;

/// <summary>
/// A QEMU without a machine: its monitor at a unix socket, for one client at a time as the real one. It knows what <c>vsockpair watch</c> says, keeps every command that came,
/// and behaves as badly as a test wants.
/// </summary>
public sealed class FakeQmpServer : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly ConcurrentQueue<JsonObject> _commands = new();
    private readonly Lock _gate = new();
    private readonly List<int> _descriptors = [];
    private readonly string _path;
    private Socket? _client;
    private int _connections;
    private volatile bool _closed;
    private volatile bool _isDumping;
    private (long Done, long Total, string Status) _dump = (0, 0, "none");

    public FakeQmpServer(string path)
    {
        _path = path;
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen(8);
        new Thread(Serve) { IsBackground = true, Name = "fake QEMU" }.Start();
    }

    public string State { get; set; } = "running";

    public string Uuid { get; init; } = "00000000-0000-0000-0000-000000000000";

    public long MemoryBytes { get; init; } = 64 << 20;

    public string[] Formats { get; init; } = ["elf", "kdump-zlib"];

    /// <summary>CID of a vhost-vsock device; null for a machine without one.</summary>
    public uint? Cid { get; init; }

    public string PanicAction { get; private set; } = "shutdown";

    /// <summary>How long a whole dump is active.</summary>
    public TimeSpan DumpTime { get; set; } = TimeSpan.FromMilliseconds(50);

    /// <summary>What DUMP_COMPLETED says went wrong; null: it goes well.</summary>
    public string? DumpError { get; set; }

    /// <summary>What the dump's file holds.</summary>
    public byte[] DumpContent { get; set; } = "\u007fELF of a fake"u8.ToArray();

    /// <summary>Bytes to answer instead of the real answer, by command; an empty text for no answer.</summary>
    public ConcurrentDictionary<string, string> Instead { get; } = new();

    /// <summary>Whether a panic puts the machine into guest-panicked, as <c>panic=pause</c> does.</summary>
    public bool StopsAtPanic { get; set; } = true;

    /// <summary>What the client's own connection is greeted with; empty for silence.</summary>
    public string Greeting { get; set; } = """{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": ""}, "capabilities": ["oob"]}}""";

    public int Connections => _connections;

    public bool IsConnected => _client is { Connected: true };

    /// <summary>Every command of every client, in order.</summary>
    public IReadOnlyList<JsonObject> Commands => [.. _commands];

    public int Count(string command) => _commands.Count(c => (string?)c["execute"] == command);

    /// <summary>Dumps of the whole memory.</summary>
    public int WholeDumps => _commands.Count(c => (string?)c["execute"] == "dump-guest-memory" && c["arguments"]?["begin"] is null);

    /// <summary>The guest panics, so many times in one go.</summary>
    public void Panic(int times = 1)
    {
        if (StopsAtPanic)
        {
            State = "guest-panicked";
        }
        StringBuilder lines = new();
        for (int i = 0; i < times; i++)
        {
            lines.Append(EventLine("GUEST_PANICKED", """{"action": "pause"}"""));
        }
        SendText(lines.ToString());
    }

    public void Reset()
    {
        State = "running";
        SendEvent("RESET", """{"guest": true, "reason": "guest-reset"}""");
    }

    public void SendEvent(string name, string data = "{}") => SendText(EventLine(name, data));

    /// <summary>As it is, to the client that is connected.</summary>
    public void SendText(string text) => SendBytes(Encoding.UTF8.GetBytes(text));

    public void SendBytes(byte[] bytes)
    {
        Socket? client = _client;
        if (client is null)
        {
            return;
        }
        try
        {
            lock (_gate)
            {
                for (int sent = 0; sent < bytes.Length;)
                {
                    sent += client.Send(bytes.AsSpan(sent));
                }
            }
        }
        catch (SocketException)
        {
            // It has gone; a test that minds sees that.
        }
        catch (ObjectDisposedException)
        {
            // Likewise.
        }
    }

    /// <summary>The client loses its connection, and may come back.</summary>
    public void Disconnect()
    {
        Socket? client = _client;
        _client = null;
        try
        {
            // The thread that reads closes it: closing alone would not wake that.
            client?.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The client was faster.
        }
    }

    /// <summary>QEMU ends.</summary>
    public void Dispose()
    {
        _closed = true;
        _listener.Dispose();
        Disconnect();
        File.Delete(_path);
        lock (_gate)
        {
            _descriptors.ForEach(Close);
            _descriptors.Clear();
        }
    }

    private static string EventLine(string name, string data)
    {
        long microseconds = (DateTime.UtcNow - DateTime.UnixEpoch).Ticks / 10;
        return $$"""{"timestamp": {"seconds": {{microseconds / 1_000_000}}, "microseconds": {{microseconds % 1_000_000}}}, "event": "{{name}}", "data": {{data}}}""" + "\r\n";
    }

    private void Serve()
    {
        while (!_closed)
        {
            try
            {
                Socket client = _listener.Accept();
                Interlocked.Increment(ref _connections);
                _client = client;
                if (Greeting.Length > 0)
                {
                    SendText(Greeting + "\r\n");
                }
                ServeClient(client);
            }
            catch (SocketException)
            {
                // The listener or the client is closed.
            }
            catch (ObjectDisposedException)
            {
                // Likewise.
            }
        }
    }

    private void ServeClient(Socket client)
    {
        List<byte> pending = [];
        byte[] buffer = new byte[1 << 16];
        while (Receive(client, buffer) is > 0 and int received)
        {
            pending.AddRange(buffer.AsSpan(0, received));
            while (pending.IndexOf((byte)'\n') is >= 0 and int end)
            {
                string line = Encoding.UTF8.GetString([.. pending[..end]]);
                pending.RemoveRange(0, end + 1);
                JsonObject command = JsonNode.Parse(line)!.AsObject();
                _commands.Enqueue(command);
                Answer(command);
            }
        }
        client.Dispose();
    }

    private void Answer(JsonObject command)
    {
        string name = (string)command["execute"]!;
        string id = command["id"]!.ToJsonString();
        if (Instead.TryGetValue(name, out string? instead))
        {
            SendText(instead.Replace("$id", id, StringComparison.Ordinal));
            return;
        }
        JsonNode? arguments = command["arguments"];
        (string answer, string? error) = name switch
        {
            "qmp_capabilities" or "getfd" => ("{}", null),
            "query-status" => ($$"""{"status": "{{State}}", "running": {{(State == "running" ? "true" : "false")}}}""", null),
            "query-uuid" => ($$"""{"UUID": "{{Uuid}}"}""", null),
            "query-memory-size-summary" => ($$"""{"base-memory": {{MemoryBytes}}, "plugged-memory": 0}""", null),
            "query-dump-guest-memory-capability" => ($$"""{"formats": [{{string.Join(", ", Formats.Select(f => $"\"{f}\""))}}]}""", null),
            "query-dump" => (DumpState(), null),
            "set-action" => SetAction(arguments!),
            "qom-list" => (Devices((string)arguments!["path"]!), null),
            "qom-get" => ($"{Cid}", null),
            "dump-guest-memory" => Dump(arguments!),
            "stop" => Change("paused", "STOP"),
            "cont" => Continue(),
            "system_reset" => Change("prelaunch", "RESET", """{"guest": false, "reason": "host-qmp-system-reset"}"""),
            _ => ("", $"The command {name} has not been found"),
        };
        SendText(error is null
            ? $$"""{"return": {{answer}}, "id": {{id}} }""" + "\r\n"
            : $$$"""{"id": {{{id}}}, "error": {"class": "GenericError", "desc": "{{{error}}}"}}""" + "\r\n");
    }

    private (string, string?) SetAction(JsonNode arguments)
    {
        PanicAction = (string)arguments["panic"]!;
        return ("{}", null);
    }

    private string Devices(string path)
    {
        string[] devices = path.EndsWith("-anon", StringComparison.Ordinal)
            ? ["pvpanic-pci", "vmcoreinfo", .. Cid is null ? Array.Empty<string>() : ["vhost-vsock-pci"]]
            : [];
        return "[" + string.Join(", ", devices.Select((d, i) => $$"""{"name": "device[{{i}}]", "type": "child<{{d}}>"}""")) + "]";
    }

    private (string, string?) Change(string state, string name, string data = "{}")
    {
        State = state;
        SendEvent(name, data);
        return ("{}", null);
    }

    private (string, string?) Continue() => _isDumping ? ("", "There is a dump in process, please wait.") : Change("running", "RESUME");

    private string DumpState()
    {
        lock (_gate)
        {
            return $$"""{"status": "{{_dump.Status}}", "completed": {{_dump.Done}}, "total": {{_dump.Total}}}""";
        }
    }

    private (string, string?) Dump(JsonNode arguments)
    {
        int descriptor;
        lock (_gate)
        {
            descriptor = _descriptors[^1];
            _descriptors.Remove(descriptor);
        }
        if (arguments["begin"] is not null)
        {
            // No memory: nothing can be read of a machine that is none.
            Close(descriptor);
            return ("", "dump: no guest memory to dump");
        }
        lock (_gate)
        {
            _dump = (0, MemoryBytes, "active");
        }
        _isDumping = true;
        new Thread(() => FinishDump(descriptor)) { IsBackground = true }.Start();
        return ("{}", null);
    }

    private void FinishDump(int descriptor)
    {
        Thread.Sleep(DumpTime);
        bool isWritten = Write(descriptor, DumpContent, DumpContent.Length) == DumpContent.Length;
        Close(descriptor);
        string? error = DumpError ?? (isWritten ? null : "dump: failed to save memory: No space left on device");
        lock (_gate)
        {
            _dump = (error is null ? MemoryBytes : MemoryBytes / 2, MemoryBytes, error is null ? "completed" : "failed");
        }
        _isDumping = false;
        string said = error is null ? "" : $$""", "error": "{{error}}" """;
        SendEvent("DUMP_COMPLETED", $$"""{"result": {{DumpState()}}{{said}}}""");
    }

    /// <summary>recvmsg(2), for the descriptors that come with <c>getfd</c>.</summary>
    private unsafe int Receive(Socket client, byte[] buffer)
    {
        byte* control = stackalloc byte[64];
        fixed (byte* bytes = buffer)
        {
            IoVector vector = new() { Base = bytes, Length = (nuint)buffer.Length };
            MessageHeader header = new() { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = 64 };
            int received = (int)ReceiveMessage((int)client.Handle, &header, 0x40000000); // MSG_CMSG_CLOEXEC
            if (received > 0 && header.ControlLength >= 20)
            {
                lock (_gate)
                {
                    _descriptors.Add(*(int*)(control + 16));
                }
            }
            return received;
        }
    }

    private static void Close(int descriptor) => _ = CloseDescriptor(descriptor);

    private static unsafe int Write(int descriptor, byte[] content, int count)
    {
        fixed (byte* bytes = content)
        {
            return (int)WriteDescriptor(descriptor, bytes, (nuint)count);
        }
    }

    [DllImport("libc", EntryPoint = "recvmsg")]
    private static extern unsafe nint ReceiveMessage(int socket, MessageHeader* header, int flags);

    [DllImport("libc", EntryPoint = "close")]
    private static extern int CloseDescriptor(int descriptor);

    [DllImport("libc", EntryPoint = "write")]
    private static extern unsafe nint WriteDescriptor(int descriptor, byte* bytes, nuint count);

    private unsafe struct IoVector
    {
        public byte* Base;
        public nuint Length;
    }

    private unsafe struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public IoVector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }
}
