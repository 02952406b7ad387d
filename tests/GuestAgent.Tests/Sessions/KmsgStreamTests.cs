using System.Text;
using VsockPair.GuestAgent.Kmsg;
using VsockPair.Linux;
using VsockPair.Protocol;
using static VsockPair.GuestAgent.Tests.Sessions.AgentRun;

namespace VsockPair.GuestAgent.Tests.Sessions;

/// <summary>The kernel log from a file whose records are as long as the longest, so that each read() returns one, as /dev/kmsg does.</summary>
public sealed class KmsgStreamTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    [Fact]
    public void A_restart_goes_back_and_skips_what_the_collector_has()
    {
        File.WriteAllText(_path, Log(10, 5));
        using KmsgReader reader = new(Fd.Own(Sys.Open(_path, Constants.O_RDONLY), "open", _path));
        reader.Restart(0);
        Assert.True(reader.ReadBatch());
        Assert.Equal((3 * Wire.MaxKmsgRecordBytes, 12UL), (reader.Batch.Length, reader.LastSequence));

        reader.Restart(next: 13);
        Assert.False(reader.ReadBatch());
        Assert.Equal((2 * Wire.MaxKmsgRecordBytes, 14UL), (reader.Batch.Length, reader.LastSequence));
        Assert.False(reader.ReadBatch());
        Assert.Equal(0, reader.Batch.Length);
    }

    [Fact]
    public void What_is_no_record_is_not_sent()
    {
        File.WriteAllText(_path, new string('x', Wire.MaxKmsgRecordBytes) + Log(3, 1));
        using KmsgReader reader = new(Fd.Own(Sys.Open(_path, Constants.O_RDONLY), "open", _path));
        reader.Restart(0);
        Assert.False(reader.ReadBatch());

        Assert.Equal((Wire.MaxKmsgRecordBytes, 3UL), (reader.Batch.Length, reader.LastSequence));
    }

    [Fact]
    public async Task No_more_than_the_window_is_sent_without_acknowledgement()
    {
        await using AgentRun run = new(prepare: g => g.Write("dev/kmsg", Log(0, 100)), script: r => r.Collector.AcknowledgesKmsg = false, stopDrain: 0.5);

        await UntilAsync(() => Sent(run) >= KmsgWindow.MostBytes - Wire.MaxKmsgBatchBytes, "a full window");
        await Task.Delay(300);
        Assert.InRange(Sent(run), 1, KmsgWindow.MostBytes);
    }

    [Fact]
    public async Task Acknowledgements_let_everything_through_and_a_new_connection_begins_where_the_collector_says()
    {
        ulong next = 0;
        await using AgentRun run = new(prepare: g => g.Write("dev/kmsg", Log(0, 100)), script: r => r.Collector.OnHello = hello => r.Welcome(hello, nextSequence: next));
        await UntilAsync(() => Sent(run) == 100 * Wire.MaxKmsgRecordBytes, "all records");

        next = 90;
        run.Collector.Newest(ConnectionKind.Kmsg)!.Dispose();
        await UntilAsync(() => Sent(run) == 110 * Wire.MaxKmsgRecordBytes, "the last ten records again");
        Assert.True(KmsgRecord.TryReadSequence(run.Collector.KmsgBatches.ToArray()[^4], out ulong first) && first == 90);
    }

    public void Dispose() => File.Delete(_path);

    private static int Sent(AgentRun run) => run.Collector.KmsgBatches.Sum(b => b.Length);

    private static string Log(int first, int records)
    {
        StringBuilder log = new();
        for (int i = first; i < first + records; i++)
        {
            log.Append($"6,{i},1000,-;".PadRight(Wire.MaxKmsgRecordBytes - 1, '.')).Append('\n');
        }
        return log.ToString();
    }
}
