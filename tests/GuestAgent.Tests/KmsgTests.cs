using System.Text;
using VsockPair.GuestAgent.Kmsg;

namespace VsockPair.GuestAgent.Tests;

public sealed class KmsgTests
{
    [Theory]
    [InlineData("6,42,1000,-;hello\n", 42UL)]
    [InlineData("30,18446744073709551615,0,c,caller=T1;x\n SUBSYSTEM=pci\n", ulong.MaxValue)]
    public void Sequence_is_read(string record, ulong sequence)
    {
        Assert.True(KmsgRecord.TryReadSequence(Encoding.UTF8.GetBytes(record), out ulong read));
        Assert.Equal(sequence, read);
    }

    [Theory]
    [InlineData("")]
    [InlineData("6;hello\n")]
    [InlineData("6,x,1,-;\n")]
    [InlineData("6,42")]
    public void What_is_no_record_has_none(string record) =>
        Assert.False(KmsgRecord.TryReadSequence(Encoding.UTF8.GetBytes(record), out _));

    [Fact]
    public void Window_closes_at_its_bytes_and_opens_by_acknowledgement()
    {
        KmsgWindow window = new();
        ulong sequence = 0;
        while (window.HasRoomFor(24576))
        {
            window.Sent(sequence += 10, 24576);
        }
        Assert.Equal(KmsgWindow.MostBytes / 24576, (int)(sequence / 10));

        window.Acknowledge(9);
        Assert.False(window.HasRoomFor(24576));
        window.Acknowledge(25);
        Assert.True(window.HasRoomFor(2 * 24576));
        window.Acknowledge(sequence);
        Assert.True(window.IsEmpty);
    }

    [Fact]
    public void Window_closes_at_its_frames_too()
    {
        KmsgWindow window = new();
        int frames = 0;
        while (window.HasRoomFor(1))
        {
            window.Sent((ulong)frames++, 1);
        }
        Assert.InRange(frames, 16, KmsgWindow.MostBytes / 2);
    }
}
