using VsockPair.GuestAgent.Metadata;

namespace VsockPair.GuestAgent.Tests;

public sealed class ChangingFileTests : IDisposable
{
    private static readonly TimeSpan Refresh = TimeSpan.FromSeconds(30);

    private readonly string _path = Path.GetTempFileName();

    [Fact]
    public void Is_taken_once_and_again_when_it_has_changed()
    {
        ChangingFile file = new(_path, b => Sha256.Of(b), Refresh);
        File.WriteAllText(_path, "a");
        Assert.Equal("a"u8.ToArray(), file.TakeChange(TimeSpan.Zero));
        File.WriteAllText(_path, "b");
        Assert.Null(file.TakeChange(TimeSpan.FromSeconds(1)));
        Assert.Equal("b"u8.ToArray(), file.TakeChange(Refresh));
        Assert.Null(file.TakeChange(Refresh * 10));
    }

    [Fact]
    public void One_that_never_rests_does_not_use_up_the_offers_of_a_session_in_half_a_year()
    {
        File.WriteAllText(_path, "always another");
        long looks = 0;
        ChangingFile file = new(_path, _ => BitConverter.GetBytes(++looks), Refresh);
        int offers = 0;
        TimeSpan longestWait = TimeSpan.Zero;
        TimeSpan last = TimeSpan.Zero;
        for (TimeSpan now = TimeSpan.Zero; now < TimeSpan.FromDays(180); now += Refresh)
        {
            if (file.TakeChange(now) is null)
            {
                continue;
            }
            offers++;
            longestWait = offers == 110 ? now - last : longestWait;
            last = now;
        }

        Assert.InRange(offers, 1000, 3000);
        Assert.InRange(longestWait, TimeSpan.FromMinutes(9), TimeSpan.FromMinutes(11));
    }

    [Fact]
    public void Vanishing_is_no_change()
    {
        ChangingFile file = new(_path, b => Sha256.Of(b), Refresh);
        File.Delete(_path);
        Assert.Null(file.TakeChange(TimeSpan.Zero));
        Assert.True(file.Digest.IsEmpty);
    }

    [Fact]
    public void Use_counts_of_modules_are_no_change_but_addresses_and_states_are()
    {
        byte[] before = ModuleLayout.Hash("vsock 61440 3 raid1, Live 0xffffffffc0a4b000\nraid1 1 0 - Live 0x0\n"u8);

        Assert.Equal(before, ModuleLayout.Hash("vsock 61440 4 raid1,x, Live 0xffffffffc0a4b000\nraid1 1 2 x, Live 0x0\n"u8));
        Assert.NotEqual(before, ModuleLayout.Hash("vsock 61440 3 raid1, Live 0xffffffffc0a4c000\nraid1 1 0 - Live 0x0\n"u8));
        Assert.NotEqual(before, ModuleLayout.Hash("vsock 61440 3 raid1, Live 0xffffffffc0a4b000\nraid1 1 0 - Loading 0x0\n"u8));
        Assert.NotEqual(before, ModuleLayout.Hash("vsock 61440 3 raid1, Live 0xffffffffc0a4b000\n"u8));
    }

    public void Dispose() => File.Delete(_path);
}
