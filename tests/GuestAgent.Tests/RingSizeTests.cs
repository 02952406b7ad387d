using VsockPair.GuestAgent.Tracing;
using VsockPair.Linux;

namespace VsockPair.GuestAgent.Tests;

/// <summary>Against a kernel that answers as it is told.</summary>
public sealed class RingSizeTests
{
    private readonly List<string> _written = [];
    private int _subBufferKb = 4;

    [Fact]
    public void The_ring_gets_its_size_before_its_sub_buffers_do()
    {
        Assert.Equal(1024, RingSize.Choose(1024, Kernel(mostKb: int.MaxValue, largestSubBufferKb: 64)));
        Assert.Equal(["buffer_size_kb 1024", "buffer_subbuf_size_kb 64", "buffer_size_kb 1024"], _written);
    }

    [Theory]
    [InlineData(32, 32)]
    [InlineData(16, 16)]
    [InlineData(4, 4)]
    public void Sub_buffers_shrink_until_the_ring_of_them_can_be_made(int ringOf, int subBufferKb)
    {
        RingSize.Choose(1024, Kernel(mostKb: int.MaxValue, largestSubBufferKb: 64, ringOf));

        Assert.Equal(subBufferKb, _subBufferKb);
        Assert.Equal("buffer_size_kb 1024", _written[^1]);
    }

    [Fact]
    public void A_kernel_without_the_file_keeps_its_pages()
    {
        Assert.Equal(1024, RingSize.Choose(1024, (file, _) => file == "buffer_size_kb" ? 0 : -Errno.ENOENT));
    }

    [Fact]
    public void The_ring_is_halved_while_there_is_no_memory()
    {
        Assert.Equal(256, RingSize.Choose(1024, Kernel(mostKb: 300, largestSubBufferKb: 64)));
        // Eight of 64 KiB would not fit.
        Assert.Equal(32, _subBufferKb);
    }

    [Fact]
    public void Not_even_a_few_pages_is_an_error() =>
        Assert.Throws<LinuxException>(() => RingSize.Choose(1024, Kernel(mostKb: 8, largestSubBufferKb: 64)));

    private Func<string, int, int> Kernel(int mostKb, int largestSubBufferKb, int largestRingOfKb = 64) => (file, kb) =>
    {
        _written.Add($"{file} {kb}");
        if (file == "buffer_size_kb")
        {
            return kb > mostKb || _subBufferKb > largestRingOfKb ? -Errno.ENOMEM : 0;
        }
        if (kb > largestSubBufferKb)
        {
            return -Errno.ENOMEM;
        }
        _subBufferKb = kb;
        return 0;
    };
}
