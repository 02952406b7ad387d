using VsockPair.Memory;

namespace VsockPair.HostCollector.Tests.Memory;

public sealed class PrintkRingTests
{
    [Fact]
    public void Writes_records_as_dmesg_shows_them()
    {
        PrintkImage image = new(countBits: 5, sizeBits: 12);
        image.Add("Linux version 6.99");
        image.Add("two lines\nin one record");
        image.Add("");
        image.Add("bell \a and \u001b[31mred");
        (string log, PrintkReport report) = Read(image);
        Assert.Equal(
            """
            [    0.001500] Linux version 6.99
            [    0.003000] two lines
                           in one record
            [    0.004500] 
            [    0.006000] bell \x07 and \x1b[31mred

            """,
            log);
        Assert.Equal(new PrintkReport(4, 0, 0, 3, null), report);
    }

    /// <summary>Ids and positions go over their limit, texts lie at the start of the ring, descriptors have lost their text; and at each moment the log is what was said last.</summary>
    [Fact]
    public void Follows_a_ring_that_is_filled_over_and_over()
    {
        PrintkImage image = new(countBits: 5, sizeBits: 10);
        List<string> said = [];
        for (int i = 0; i < 1000; i++)
        {
            said.Add($"record {i} " + new string('x', i * 7 % 60));
            image.Add(said[^1]);
            (string log, PrintkReport report) = Read(image);
            Assert.Null(report.Missing);
            Assert.Equal(0, report.Lost);
            Assert.Equal(i, (int)report.LastSequence);
            Assert.Equal(i - (int)report.Records + 1, (int)report.FirstSequence);
            Assert.InRange(report.Records, Math.Min(i + 1, 8), 32);
            string[] lines = [.. log.TrimEnd('\n').Split('\n').Select(line => line[(line.IndexOf(']', StringComparison.Ordinal) + 2)..])];
            Assert.Equal(said.TakeLast((int)report.Records), lines);
        }
    }

    [Fact]
    public void Takes_only_records_that_are_whole()
    {
        PrintkImage image = new(countBits: 5, sizeBits: 12);
        image.Add("first");
        image.Add("being written", PrintkImage.Reserved);
        image.Add("gone", PrintkImage.Reusable);
        image.Add("after those");
        image.Add("a line that was never ended", PrintkImage.Committed);
        image.Add("still being written", PrintkImage.Reserved);
        (string log, PrintkReport report) = Read(image);
        Assert.Equal("[    0.001500] first\n-- 2 records lost --\n[    0.006000] after those\n[    0.007500] a line that was never ended\n", log);
        Assert.Equal(new PrintkReport(3, 2, 0, 4, null), report);
    }

    [Fact]
    public void A_text_that_names_another_record_is_not_shown()
    {
        PrintkImage image = new(countBits: 5, sizeBits: 12);
        image.Add("first");
        image.Add("damaged");
        image.DamageNewest();
        image.Add("last");
        Assert.Equal("[    0.001500] first\n-- 1 records lost --\n[    0.004500] last\n", Read(image).Log);
    }

    [Fact]
    public void Of_a_log_larger_than_the_limits_the_newest_is_read_and_the_rest_is_named()
    {
        PrintkImage image = new(countBits: 8, sizeBits: 14);
        for (int i = 0; i < 100; i++)
        {
            image.Add($"record {i}");
        }
        StringWriter log = new();
        PrintkReport report = PrintkRing.Write(image.Kernel.Open(PrintkImage.Layout), log, new PrintkLimits(10, 8 << 20));
        Assert.Equal("the log has 90 older records; the newest 10 are read, with 8 MiB of text", report.Missing);
        Assert.Equal((10, 90UL), (report.Records, report.FirstSequence));
        report = PrintkRing.Write(image.Kernel.Open(PrintkImage.Layout), log, new PrintkLimits(1000, 240));
        Assert.Equal((10, 90UL), (report.Records, report.FirstSequence));
        Assert.StartsWith("the log has 90 older records", report.Missing, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("SYMBOL(prb)=ffffffff80100000\n", "SYMBOL(log_buf)=ffffffff80100000\n", "before 5.10")]
    [InlineData("SYMBOL(prb)=ffffffff80100000\n", "", "without printk")]
    [InlineData("SYMBOL(prb)=ffffffff80100000\n", "SYMBOL(prb)=ffff888000000000\n", "not in this memory")]
    [InlineData("OFFSET(prb_desc_ring.infos)=16\n", "", "no usable OFFSET(prb_desc_ring.infos)")]
    [InlineData("SIZE(prb_desc)=24\n", "SIZE(prb_desc)=16\n", "layout that no kernel has")]
    [InlineData("SIZE(printk_info)=88\n", "SIZE(printk_info)=99999999999\n", "no usable SIZE(printk_info)")]
    [InlineData("OFFSET(prb_data_ring.size_bits)=0\n", "OFFSET(prb_data_ring.size_bits)=16\n", "damaged")]
    public void Says_why_there_is_no_log(string line, string replacement, string reason)
    {
        PrintkImage image = new(countBits: 5, sizeBits: 12);
        image.Add("first");
        string layout = PrintkImage.Layout.Replace(line, replacement, StringComparison.Ordinal);
        Assert.NotEqual(PrintkImage.Layout, layout);
        StringWriter log = new();
        PrintkReport report = PrintkRing.Write(image.Kernel.Open(layout), log, PrintkLimits.File);
        Assert.Contains(reason, report.Missing, StringComparison.Ordinal);
        Assert.Equal("", log.ToString());
    }

    private static (string Log, PrintkReport Report) Read(PrintkImage image)
    {
        StringWriter log = new();
        PrintkReport report = PrintkRing.Write(image.Kernel.Open(PrintkImage.Layout), log, PrintkLimits.File);
        return (log.ToString(), report);
    }
}
