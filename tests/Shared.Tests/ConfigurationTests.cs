using VsockPair.Configuration;

namespace VsockPair.Shared.Tests;

public sealed class ConfigurationTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("vsockpair-ini-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Entries_have_section_and_line()
    {
        Assert.Equal(
            [
                new IniEntry("", "before", "1", "f:1"),
                new IniEntry("Store", "Key", "a = b", "f:5"),
                new IniEntry("Guest web1", "Empty", "", "f:7"),
            ],
            Parse(["before=1", "# comment", "; comment", " [ Store ] ", "  Key =  a = b ", "[Guest web1]", "Empty="], out List<string> faults));
        Assert.Empty(faults);
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("=value")]
    [InlineData("[Store")]
    public void Line_of_no_kind_is_a_fault_with_its_number(string line)
    {
        Assert.Empty(Parse(["", line], out List<string> faults));
        Assert.StartsWith("f:2: ", Assert.Single(faults), StringComparison.Ordinal);
    }

    [Fact]
    public void Load_reads_main_file_then_drop_ins_in_name_order()
    {
        string main = Path.Combine(_folder, "x.conf");
        Directory.CreateDirectory(main + ".d");
        File.WriteAllText(main, "[A]\nk=1\n");
        File.WriteAllText(Path.Combine(main + ".d", "b.conf"), "[A]\nk=3\n");
        File.WriteAllText(Path.Combine(main + ".d", "a.conf"), "[A]\r\nk=2\r\n");
        File.WriteAllText(Path.Combine(main + ".d", "c.conf~"), "[A]\nk=4\n");
        List<string> faults = [];
        Assert.Equal(["1", "2", "3"], IniFile.Load(main, faults).Select(e => e.Value));
        Assert.Empty(faults);
    }

    [Fact]
    public void Load_of_nothing_is_empty()
    {
        List<string> faults = [];
        Assert.Empty(IniFile.Load(Path.Combine(_folder, "none.conf"), faults));
        Assert.Empty(faults);
    }

    [Fact]
    public void Environment_is_sorted_and_only_takes_the_prefix()
    {
        Dictionary<string, string> environment = new()
        {
            ["VSOCKPAIR__Store__MaxAge"] = "1d",
            ["VSOCKPAIR__Limits__MaxCpus"] = "8",
            ["VSOCKPAIR__Guest web1__Cid"] = "7",
            ["VSOCKPAIR__Alone"] = "x",
            ["vsockpair__Store__A"] = "x",
            ["HOME"] = "/root",
        };
        Assert.Equal(
            [
                new IniEntry("", "Alone", "x", "VSOCKPAIR__Alone"),
                new IniEntry("Guest web1", "Cid", "7", "VSOCKPAIR__Guest web1__Cid"),
                new IniEntry("Limits", "MaxCpus", "8", "VSOCKPAIR__Limits__MaxCpus"),
                new IniEntry("Store", "MaxAge", "1d", "VSOCKPAIR__Store__MaxAge"),
            ],
            IniFile.FromEnvironment(environment));
    }

    [Theory]
    [InlineData("0", 0L)]
    [InlineData("4095", 4095L)]
    [InlineData("64K", 65536L)]
    [InlineData("1M", 1L << 20)]
    [InlineData("3G", 3L << 30)]
    [InlineData("8388607T", 8388607L << 40)]
    [InlineData("8388608T", null)]
    [InlineData("9223372036854775808", null)]
    [InlineData("", null)]
    [InlineData("K", null)]
    [InlineData("-1", null)]
    [InlineData("+1", null)]
    [InlineData("1.5M", null)]
    [InlineData("1 M", null)]
    [InlineData("1m", null)]
    [InlineData("1MB", null)]
    public void Bytes(string text, long? expected)
    {
        Assert.Equal(expected is not null, Quantity.TryParseBytes(text, out long bytes));
        Assert.Equal(expected ?? 0, bytes);
    }

    [Theory]
    [InlineData("90", 90.0)]
    [InlineData("15m", 900.0)]
    [InlineData("2h", 7200.0)]
    [InlineData("7d", 604800.0)]
    [InlineData("9999999999999d", null)]
    [InlineData("922337203686", null)]
    [InlineData("5M", null)]
    [InlineData("", null)]
    public void Time(string text, double? seconds)
    {
        Assert.Equal(seconds is not null, Quantity.TryParseTime(text, out TimeSpan time));
        Assert.Equal(seconds ?? 0, time.TotalSeconds);
    }

    [Theory]
    [InlineData("0%", 0.0)]
    [InlineData("20%", 0.2)]
    [InlineData("100%", 1.0)]
    [InlineData("101%", null)]
    [InlineData("20", null)]
    [InlineData("%", null)]
    [InlineData("-1%", null)]
    [InlineData("0.5%", null)]
    public void Share(string text, double? expected)
    {
        Assert.Equal(expected is not null, Quantity.TryParseShare(text, out double share));
        Assert.Equal(expected ?? 0, share);
    }

    [Theory]
    [InlineData("yes", true)]
    [InlineData("1", true)]
    [InlineData("off", false)]
    [InlineData("false", false)]
    [InlineData("maybe", null)]
    [InlineData("", null)]
    public void Switch(string text, bool? expected)
    {
        Assert.Equal(expected is not null, Quantity.TryParseSwitch(text, out bool on));
        Assert.Equal(expected ?? false, on);
    }

    private static List<IniEntry> Parse(string[] lines, out List<string> faults)
    {
        List<IniEntry> entries = [];
        faults = [];
        IniFile.Parse(lines, "f", entries, faults);
        return entries;
    }
}
