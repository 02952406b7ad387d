using VsockPair.Text;

namespace VsockPair.HostCollector.Tests.Text;

public sealed class UnitsTests
{
    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1024, "1 KiB")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(102_400, "100 KiB")]
    [InlineData(104_857_500, "100 MiB")]
    [InlineData(1_073_741_823, "1 GiB")]
    [InlineData(64L << 20, "64 MiB")]
    [InlineData(long.MaxValue, "8 EiB")]
    public void Bytes(long bytes, string expected) => Assert.Equal(expected, Units.Bytes(bytes).Replace(".0 ", " ", StringComparison.Ordinal));

    [Theory]
    [InlineData(0, "0s")]
    [InlineData(59, "59s")]
    [InlineData(60, "1m")]
    [InlineData(7500, "2h 5m")]
    [InlineData(7203, "2h")]
    [InlineData(604800, "7d")]
    [InlineData(90061, "1d 1h")]
    public void Duration(int seconds, string expected) => Assert.Equal(expected, Units.Duration(TimeSpan.FromSeconds(seconds)));

    [Fact]
    public void Table_aligns_its_columns()
    {
        StringWriter output = new() { NewLine = "\n" };
        Table table = new Table("NAME", "SIZE", "NOTE").AlignRight(1);
        table.Add("web1", "1 KiB", "");
        table.Add("longer", "812 B", "x");
        table.Write(output);
        Assert.Equal("NAME     SIZE  NOTE\nweb1    1 KiB\nlonger  812 B  x\n", output.ToString());
    }

    [Theory]
    [InlineData(0, "0 ns")]
    [InlineData(850, "850 ns")]
    [InlineData(999.6, "1 µs")]
    [InlineData(4_230, "4.3 µs")]
    [InlineData(212_400, "213 µs")]
    [InlineData(60_000_000_000, "60 s")]
    [InlineData(3_599_000_000_000, "3599 s")]
    [InlineData(9e12, "2h 30m")]
    [InlineData(1e27, "10675199d 2h")]
    public void Nanoseconds_are_shown_with_the_digits_that_matter(double nanoseconds, string text) => Assert.Equal(text, Units.Seconds((decimal)nanoseconds));
}
