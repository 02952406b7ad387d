using System.Globalization;
using System.Text;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Storage;

public sealed class SavedThreadNamesTests
{
    [Theory]
    [InlineData("1 init\n", "1 other\n", null)]
    [InlineData("1 init\n", "", null)]
    [InlineData("1 init\n", "no line of that kind\n", null)]
    [InlineData("1 init", "2 cron\n", "1 init\n2 cron\n")]
    [InlineData("7 a b\n", "8 c\n7 x\n9 d e\n", "7 a b\n8 c\n9 d e\n")]
    public void Newest_name_counts_and_others_stay(string newer, string older, string? merged) => Assert.Equal(merged, Merge(newer, older));

    [Fact]
    public void However_many_threads_there_were_the_file_stays_small_and_the_newest_are_in_it()
    {
        string stored = "";
        for (int version = 0; version < 12; version++)
        {
            string names = string.Concat(Enumerable.Range(version * 10_000, 10_000).Select(pid => string.Create(CultureInfo.InvariantCulture, $"{pid} worker{version}\n")));
            stored = Merge(names, stored) ?? names;
            Assert.StartsWith(names, stored, StringComparison.Ordinal);
        }
        Assert.InRange(stored.Length, SavedThreadNames.MaxBytes - 100, SavedThreadNames.MaxBytes);
        Assert.Contains("\n100000 worker10\n", stored, StringComparison.Ordinal);
        Assert.DoesNotContain("worker0\n", stored, StringComparison.Ordinal);
    }

    [Fact]
    public void What_no_kernel_writes_is_left_as_it_is()
    {
        string large = "1 a\n" + new string('x', SavedThreadNames.MaxBytes);
        Assert.Null(Merge(large, "2 b\n"));
        Assert.Null(Merge("2 b\n", large));
    }

    private static string? Merge(string newer, string older) =>
        SavedThreadNames.Merge(Encoding.UTF8.GetBytes(newer), Encoding.UTF8.GetBytes(older)) is byte[] merged ? Encoding.UTF8.GetString(merged) : null;
}
