using VsockPair.GuestAgent.Tracing;

namespace VsockPair.GuestAgent.Tests;

public sealed class CpuStatsTests
{
    [Fact]
    public void Sums_every_kind_of_loss()
    {
        CpuStats stats = CpuStats.Parse("""
            entries: 129
            overrun: 1000
            commit overrun: 20
            bytes: 5532
            oldest event ts:  2752.118
            now ts: 12.345678
            dropped events: 3
            read events: 18446744073709551615
            """u8);

        Assert.Equal(129u, stats.Entries);
        Assert.Equal(1023u, stats.LostEvents);
        Assert.Equal(ulong.MaxValue, stats.ReadEvents);
        Assert.Equal(12_345_678_000, stats.Now);
    }

    [Fact]
    public void Clock_is_unknown_where_it_does_not_count_time() =>
        // trace clock x86-tsc
        Assert.Null(CpuStats.Parse("entries: 1\nnow ts: 35469083\n"u8).Now);

    [Theory]
    [InlineData("0\n", new[] { 0 })]
    [InlineData("0-3,5\n", new[] { 0, 1, 2, 3, 5 })]
    [InlineData("1,3-4", new[] { 1, 3, 4 })]
    public void Cpu_ranges_are_read(string text, int[] cpus) => Assert.Equal(cpus, CpuList.Parse(text));
}
