using System.Buffers.Binary;
using System.Text;
using VsockPair.GuestAgent.Configuration;
using VsockPair.GuestAgent.Tests.Checks;
using VsockPair.GuestAgent.Tracing;
using VsockPair.Protocol;
using static VsockPair.GuestAgent.Tests.Sessions.AgentRun;

namespace VsockPair.GuestAgent.Tests.Sessions;

/// <summary>What a persistent trace ring held goes to the host once; then the ring records this boot.</summary>
public sealed class PersistentRingTests
{
    private static readonly Guid DeadBoot = Guid.NewGuid();

    [Fact]
    public async Task What_the_boot_before_left_is_sent_and_then_the_ring_is_emptied_and_records()
    {
        byte[][] left = [SubBuffer(1000, "first"), SubBuffer(2000, PreviousTrace.MarkOf(DeadBoot, "boot")), SubBuffer(3000, "last")];
        await using AgentRun run = new(prepare: g => AddRing(g, left));

        await UntilAsync(() => run.Collector.Files.ContainsKey("info"), "the last word");
        byte[] sent = run.Collector.Files["cpu0/00000000000000001000-4096.pages"];
        Assert.Equal([.. left.SelectMany(Zeroed)], sent);
        string info = Encoding.UTF8.GetString(run.Collector.Files["info"]);
        Assert.StartsWith($"boot {DeadBoot} clock boot\nsub_buffer_bytes 4096\nsub_buffers_dropped 0\nrecording_went_on no\n\n", info, StringComparison.Ordinal);
        Assert.EndsWith("text delta:\t0\ndata delta:\t0\n", info, StringComparison.Ordinal);
        Assert.All(run.Collector.Offers.Where(o => o.Name == "info" || o.Name.EndsWith(".pages", StringComparison.Ordinal)), o => Assert.Equal(OfferedKind.Previous, o.Kind));

        await UntilAsync(() => ReadRing(run, "tracing_on") == "1", "the recording of this boot");
        Assert.Equal(("", "boot", "1"), (ReadRing(run, "trace"), ReadRing(run, "trace_clock"), ReadRing(run, "events/sched/sched_switch/enable")));
        await UntilAsync(() => ReadRing(run, "trace_marker") == PreviousTrace.MarkOf(run.Guest.BootId, "boot"), "the mark");

        await run.Collector.Newest(ConnectionKind.Control)!.SendAsync(new Stop("restart"));
        await UntilAsync(() => run.Hellos(ConnectionKind.Control).Count == 2 && run.Collector.Offers.Count(o => o.Name == "vmcoreinfo") == 2, "the next session");
        Assert.Single(run.Collector.Offers, o => o.Name == "info");
        Assert.Equal(["recording", "sent"], Directory.GetFiles(Folder(run.Guest)).Select(Path.GetFileName).Order());
        Assert.Empty(run.Collector.Faults);
    }

    [Fact]
    public async Task A_ring_is_not_emptied_before_the_host_has_what_it_held()
    {
        await using AgentRun run = new(prepare: g => AddRing(g, SubBuffer(1000, "first")), script: r =>
            r.Collector.OnOffer = offer => offer.Kind == OfferedKind.Previous ? OfferAnswer.Refused : OfferAnswer.Want);
        await UntilAsync(() => run.Bulk(0) is not null && run.Collector.Offers.Any(o => o.Kind == OfferedKind.Previous), "the offer");
        await Task.Delay(300);
        Assert.Equal(("0", "what was there"), (ReadRing(run, "tracing_on"), ReadRing(run, "trace")));
        Assert.DoesNotContain(run.Collector.Offers, o => o.Name == "info");
    }

    [Fact]
    public async Task An_older_collector_is_offered_nothing_and_the_ring_records_after_a_while()
    {
        await using AgentRun run = new(prepare: g => AddRing(g, SubBuffer(1000, "first")), previousWait: 0.5, script: r =>
            r.Collector.OnHello = hello => r.Welcome(hello) with { Capabilities = null });
        await UntilAsync(() => run.Bulk(0) is not null && ReadRing(run, "tracing_on") == "1", "the recording");
        Assert.DoesNotContain(run.Collector.Offers, o => o.Kind == OfferedKind.Previous);
        Assert.Single(Directory.GetFiles($"{Folder(run.Guest)}/cpu0"));
        Assert.True(File.Exists($"{Folder(run.Guest)}/info"));
    }

    [Fact]
    public async Task An_empty_ring_records_at_once()
    {
        await using AgentRun run = new(prepare: g => AddRing(g));
        await UntilAsync(() => ReadRing(run, "tracing_on") == "1", "the recording");
        Assert.DoesNotContain(run.Collector.Offers, o => o.Kind == OfferedKind.Previous);
    }

    [Fact]
    public async Task Without_events_the_ring_stays_off()
    {
        AgentOptions options = new() { Events = ["sched"], PersistentEvents = [] };
        await using AgentRun run = new(options: options, prepare: g => AddRing(g));
        await UntilAsync(() => File.Exists($"{Folder(run.Guest)}/recording") && run.Bulk(0) is not null, "the session");
        Assert.Equal("0", ReadRing(run, "tracing_on"));
    }

    [Fact]
    public void Another_agent_of_the_boot_sends_what_is_left_and_takes_nothing_twice()
    {
        using FakeGuest guest = new();
        AddRing(guest, SubBuffer(1000, "first"));
        Tracefs ring = new($"{guest.Root}/{ReadyGuest.Ring}");
        new PreviousTrace(guest.Paths.State, guest.BootId, 1 << 20).TakeFrom(ring);

        PreviousTrace restarted = new(guest.Paths.State, guest.BootId, 1 << 20);
        Assert.Equal((true, false), (restarted.IsTaken, restarted.IsSent));
        Assert.True(restarted.BeginRecording());
        Assert.False(new PreviousTrace(guest.Paths.State, guest.BootId, 1 << 20).BeginRecording());
        Assert.False(new PreviousTrace(guest.Paths.State, Guid.NewGuid(), 1 << 20).IsTaken);
    }

    [Fact]
    public void The_newest_part_of_a_large_ring_is_kept()
    {
        using FakeGuest guest = new();
        AddRing(guest, [.. Enumerable.Range(1, 10).Select(i => SubBuffer((ulong)i, "event"))]);
        string folder = Path.Combine(guest.Root, "kept");
        Directory.CreateDirectory(folder);
        PreviousReader reader = new(FakeGuest.SubBufferBytes, 4 * FakeGuest.SubBufferBytes);

        reader.Take($"{guest.Root}/{ReadyGuest.Ring}/per_cpu/cpu0/trace_pipe_raw", folder);

        Assert.Equal((4, 6, null), (reader.Kept, reader.Dropped, reader.Mark));
        Assert.Equal([7UL, 8UL, 9UL, 10UL], Directory.GetFiles(folder).Order().Select(f => ulong.Parse(Path.GetFileName(f)[..20], null)));
    }

    private static string Folder(FakeGuest guest) => $"{guest.Paths.State}/previous-{guest.BootId}";

    private static string ReadRing(AgentRun run, string file) => run.Guest.Read($"{ReadyGuest.Ring}/{file}");

    private static void AddRing(FakeGuest guest, params byte[][] subBuffers)
    {
        guest.Write($"{ReadyGuest.Ring}/{PersistentRing.BootInfo}", "text delta:\t0\ndata delta:\t0\n");
        guest.Write($"{ReadyGuest.Ring}/tracing_on", "0\n");
        guest.Write($"{ReadyGuest.Ring}/trace", "what was there");
        guest.Write($"{ReadyGuest.Ring}/trace_clock", "[local] global boot\n");
        guest.Write($"{ReadyGuest.Ring}/trace_marker", "");
        guest.Write($"{ReadyGuest.Ring}/set_event", "");
        guest.Write($"{ReadyGuest.Ring}/buffer_size_kb", "2032\n");
        guest.Write($"{ReadyGuest.Ring}/events/header_page", guest.ReadInstance("events/header_page"));
        guest.Write($"{ReadyGuest.Ring}/events/sched/sched_switch/enable", "0");
        guest.Write($"{ReadyGuest.Ring}/per_cpu/cpu0/trace_pipe_raw", "");
        File.WriteAllBytes($"{guest.Root}/{ReadyGuest.Ring}/per_cpu/cpu0/trace_pipe_raw", [.. subBuffers.SelectMany(s => s)]);
    }

    /// <summary>With what an earlier use has left behind its events.</summary>
    private static byte[] SubBuffer(ulong time, string text)
    {
        byte[] bytes = new byte[FakeGuest.SubBufferBytes];
        bytes.AsSpan().Fill(0xEE);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, time);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), (ulong)text.Length);
        Encoding.ASCII.GetBytes(text, bytes.AsSpan(16));
        return bytes;
    }

    private static byte[] Zeroed(byte[] subBuffer)
    {
        int used = 16 + subBuffer[8];
        return [.. subBuffer.AsSpan(0, used), .. new byte[subBuffer.Length - used]];
    }
}
