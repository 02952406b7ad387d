using System.Text;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Storage;

public sealed class KmsgRecordTests
{
    [Theory]
    [InlineData("6,42,1000,-;hello\n", 42, 18)]
    [InlineData("30,0,0,c,caller=T1;x\n SUBSYSTEM=pci\n DEVICE=+pci:0\n6,1,1,-;next\n", 0, 51)]
    [InlineData("6,18446744073709551615,1,-;\n", ulong.MaxValue, 28)]
    public void Finds_a_records_sequence_and_end(string text, ulong sequence, int length)
    {
        Assert.True(KmsgRecord.TryTake(Encoding.ASCII.GetBytes(text), atEnd: true, out KmsgRecord record, out int found));
        Assert.Equal((sequence, length), (record.Sequence, found));
    }

    [Theory]
    [InlineData("")]
    [InlineData("hello\n")]
    [InlineData("6,42,1000,-;no line feed")]
    [InlineData("6,42,1000,-;first\n torn continuation")]
    [InlineData("6,18446744073709551616,1,-;beyond 64 bits\n")]
    [InlineData("6,,1,-;no number\n")]
    [InlineData("6,-1,1,-;negative\n")]
    [InlineData("6,42,1000,-\n6,43,1,-;the header has no end\n")]
    public void Refuses_what_is_no_record(string text) => Assert.False(KmsgRecord.TryTake(Encoding.ASCII.GetBytes(text), atEnd: true, out _, out _));

    [Fact]
    public void Refuses_a_record_longer_than_the_kernel_makes() =>
        Assert.False(KmsgRecord.TryTake(Encoding.ASCII.GetBytes("6,1,1,-;" + new string('x', 8192) + "\n"), atEnd: true, out _, out _));
}
