using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using VsockPair.Protocol;

namespace VsockPair.TestKit;

/// <summary>
/// A guest without a kernel: speaks the protocol over a hybrid vsock socket as the agent does, with rings, kernel log and files that a test makes up. Everything can also be
/// done wrongly: <see cref="OpenLink"/> gives a bare connection. Control is answered on a thread of its own (heartbeats and pings).
/// </summary>
/// <example><code>
/// using ScriptedGuest guest = new(socket);
/// guest.Connect();
/// ScriptedGuestRing ring = new(cpu: 0);
/// using ScriptedGuestLink bulk = guest.OpenBulk(ring);
/// bulk.SendBytes(ring.TakeSubBuffers(100));
/// guest.Stop(ring);
/// </code></example>
public sealed class ScriptedGuest(string socketPath) : IDisposable
{
    private readonly BlockingCollection<byte[]> _control = [];
    private readonly ConcurrentDictionary<uint, BlockingCollection<byte[]>> _answers = new();
    private ScriptedGuestLink? _link;
    private uint _files;

    public Guid BootId { get; init; } = Guid.NewGuid();

    public Guid PreviousSession { get; set; }

    /// <summary>Of its CLOCK_BOOTTIME to this machine's: a restored snapshot goes on where its clock was.</summary>
    public TimeSpan ClockOffset { get; set; }

    public int Cpus { get; init; } = 4;

    public string KernelRelease { get; init; } = "6.12.0-scripted";

    /// <summary>Null for an agent of the first days.</summary>
    public AgentCapabilities? Capabilities { get; init; } = AgentCapabilities.TraceControl;

    /// <summary>What a ping is answered with.</summary>
    public Func<Ping, Pong>? AnswerPing { get; set; }

    /// <summary>Of the live session.</summary>
    public Welcome Session { get; private set; }

    /// <summary>Frames of the collector's on control but heartbeats, pings and answers to offers.</summary>
    public BlockingCollection<byte[]> ControlFrames => _control;

    public ScriptedGuestLink Control => _link ?? throw new InvalidOperationException("Not connected.");

    public Hello ControlHello => new()
    {
        OldestVersion = Wire.OldestVersion,
        NewestVersion = Wire.NewestVersion,
        Kind = ConnectionKind.Control,
        BootId = BootId,
        Control = new ControlHello
        {
            AgentInstance = Guid.NewGuid(),
            PreviousSession = PreviousSession,
            AgentVersion = "0.1.0",
            KernelRelease = KernelRelease,
            KernelVersion = "#1 SMP",
            Machine = "x86_64",
            NodeName = "scripted",
            BuildId = new byte[20],
            PossibleCpus = Cpus,
            SubBufferBytes = 4096,
            TraceClock = "boot",
            Notes = [],
            BootClock = BootClock,
            Capabilities = Capabilities,
        },
    };

    /// <summary>A bare connection, on which nothing was said yet.</summary>
    public ScriptedGuestLink OpenLink() => new(socketPath);

    /// <summary>Opens a session and answers heartbeats and pings from here on.</summary>
    public Welcome Connect()
    {
        _link?.Dispose();
        ScriptedGuestLink link = OpenLink();
        link.Send(ControlHello);
        Session = link.Receive<Welcome>();
        PreviousSession = Session.Session;
        _link = link;
        new Thread(() => AnswerControl(link)) { IsBackground = true, Name = "scripted guest" }.Start();
        return Session;
    }

    /// <summary>Connects as soon as a collector is there, like an agent whose collector restarts.</summary>
    public Welcome ConnectPatiently(TimeSpan? patience = null)
    {
        DateTime end = DateTime.UtcNow + (patience ?? ScriptedGuestLink.DefaultPatience);
        while (true)
        {
            try
            {
                return Connect();
            }
            catch (Exception e) when (e is SocketException or InvalidOperationException or RefusedException && DateTime.UtcNow < end)
            {
                Thread.Sleep(20);
            }
        }
    }

    public Hello HelloFor(ScriptedGuestRing ring) => OtherHello(ConnectionKind.Bulk) with { Bulk = ring.Hello };

    public Hello OtherHello(ConnectionKind kind) => new()
    {
        OldestVersion = Wire.OldestVersion,
        NewestVersion = Wire.NewestVersion,
        Kind = kind,
        BootId = BootId,
        Token = Session.Token,
        ProbeBytes = kind == ConnectionKind.Probe ? Wire.ProbeBytes : 0,
    };

    public ScriptedGuestLink OpenBulk(ScriptedGuestRing ring) => Open(HelloFor(ring), out _);

    /// <param name="next">The first record that the collector lacks.</param>
    public ScriptedGuestLink OpenKmsg(out ulong next)
    {
        ScriptedGuestLink link = Open(OtherHello(ConnectionKind.Kmsg), out Welcome welcome);
        next = welcome.NextSequence;
        return link;
    }

    public ScriptedGuestLink Open(Hello hello, out Welcome welcome)
    {
        ScriptedGuestLink link = OpenLink();
        try
        {
            link.Send(hello);
            welcome = link.Receive<Welcome>();
            return link;
        }
        catch
        {
            link.Dispose();
            throw;
        }
    }

    /// <summary>A record as the kernel writes it.</summary>
    public static string KmsgRecord(ulong sequence, string text) => $"6,{sequence},{sequence * 10},-;{text}\n";

    public static void SendKmsg(ScriptedGuestLink link, string records)
    {
        byte[] frame = new byte[Wire.MaxFrameBytes];
        link.SendBytes(frame.AsSpan(0, KmsgRecords.Encode(Encoding.UTF8.GetBytes(records), frame)));
    }

    public void SendCounters(ScriptedGuestRing ring, bool final = false) => Control.Send(ring.Counters(final));

    /// <summary>Offers a file, and sends it if it is wanted.</summary>
    /// <returns>The collector's answer, after a wanted file was stored.</returns>
    public OfferAnswer OfferFile(OfferedKind kind, string name, byte[] content)
    {
        uint id = Offer(kind, name, content);
        OfferAnswer answer = AwaitAnswer(id, ScriptedGuestLink.DefaultPatience) ?? throw new TimeoutException("No answer from the collector.");
        if (answer == OfferAnswer.Want)
        {
            SendFile(id, content);
        }
        return answer;
    }

    /// <returns>The offer's id.</returns>
    public uint Offer(OfferedKind kind, string name, byte[] content)
    {
        uint id = ++_files;
        Control.Send(new FileOffer(id, kind, name, content.Length, 0, SHA256.HashData(content)));
        return id;
    }

    /// <returns>Null when none came.</returns>
    public OfferAnswer? AwaitAnswer(uint id, TimeSpan patience) =>
        AnswersTo(id).TryTake(out byte[]? frame, patience) ? Frame.TryDecode(frame, out FileAnswer answer) ? answer.Answer : throw new InvalidOperationException("No FileAnswer came.") : null;

    /// <summary>Sends a file that is wanted, and waits until it is stored.</summary>
    public void SendFile(uint id, byte[] content)
    {
        byte[] frame = new byte[Wire.MaxFrameBytes];
        for (int at = 0; at < content.Length; at += Wire.MaxFileChunkBytes)
        {
            ReadOnlySpan<byte> chunk = content.AsSpan(at, Math.Min(Wire.MaxFileChunkBytes, content.Length - at));
            Control.SendBytes(frame.AsSpan(0, new FileChunk(id, at, chunk).Encode(frame)));
        }
        if (!AnswersTo(id).TryTake(out byte[]? answer, ScriptedGuestLink.DefaultPatience) || !Frame.TryDecode(answer, out FileStored _))
        {
            throw new InvalidOperationException("No FileStored came.");
        }
    }

    /// <summary>Ends the session in good order, as an agent does when it is stopped. The bulk connections were shut down before.</summary>
    public void Stop(params ScriptedGuestRing[] rings)
    {
        foreach (ScriptedGuestRing ring in rings)
        {
            SendCounters(ring, final: true);
        }
        Control.Send(new Goodbye("stopped"));
        Control.Dispose();
    }

    public void Dispose()
    {
        _link?.Dispose();
        _control.Dispose();
    }

    private long BootClock => (Environment.TickCount64 + (long)ClockOffset.TotalMilliseconds) * 1_000_000;

    private Pong Answer(Ping ping)
    {
        long boot = BootClock;
        return new Pong(ping.Number, boot, DateTime.UtcNow.Ticks * 100, ping.WithLocalClock ? boot : null, ping.WithLocalClock ? boot : null, ping.WithLocalClock ? 100 : null);
    }

    private BlockingCollection<byte[]> AnswersTo(uint id) => _answers.GetOrAdd(id, _ => []);

    private void AnswerControl(ScriptedGuestLink link)
    {
        try
        {
            while (link.ReceiveFrame() is byte[] body)
            {
                if (Frame.TryDecode(body, out Ping ping))
                {
                    link.Send(AnswerPing?.Invoke(ping) ?? Answer(ping));
                }
                else if (Frame.TryDecode(body, out Heartbeat heartbeat))
                {
                    link.Send(heartbeat);
                }
                else if (Frame.TryDecode(body, out FileAnswer answer))
                {
                    AnswersTo(answer.Id).Add(body);
                }
                else if (Frame.TryDecode(body, out FileStored stored))
                {
                    AnswersTo(stored.Id).Add(body);
                }
                else
                {
                    _control.Add(body);
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // The test has closed the connection, or its collector was killed.
        }
    }
}
