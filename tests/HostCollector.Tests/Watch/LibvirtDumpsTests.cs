using VsockPair.Cases;
using VsockPair.Options;
using VsockPair.Watch;

namespace VsockPair.HostCollector.Tests.Watch;

public sealed class LibvirtDumpsTests : IDisposable
{
    private static readonly DateTimeOffset Crashed = new(2026, 11, 24, 13, 31, 46, TimeSpan.Zero);

    private readonly string _folder = Directory.CreateTempSubdirectory("vsockpair-dumps-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("", "/var/lib/libvirt/qemu/dump")]
    [InlineData("#auto_dump_path = \"/a\"", "/var/lib/libvirt/qemu/dump")]
    [InlineData("auto_dump_path = \"/a b\" # why", "/a b")]
    [InlineData("auto_dump_path='/a'\nauto_dump_bypass_cache = 0\nauto_dump_path = '/b'", "/b")]
    [InlineData("auto_dump_path = \"/a", "/var/lib/libvirt/qemu/dump")]
    [InlineData("auto_dump_path = \"a\"", "/var/lib/libvirt/qemu/dump")]
    public void The_folder_is_the_configurations(string text, string folder) => Assert.Equal(folder, LibvirtDumps.FolderOf(text.Split('\n')));

    [Fact]
    public void A_dump_is_that_of_this_run_of_the_domain_and_of_this_crash()
    {
        Assert.Null(LibvirtDumps.Find(Path.Combine(_folder, "none"), 3, "web1", Crashed));
        Write("3-web1-2026-11-24-13:00:00", Crashed.AddMinutes(-31));
        Write("3-web10-2026-11-24-13:31:46", Crashed.AddSeconds(9));
        Write("13-web1-2026-11-24-13:31:46", Crashed.AddSeconds(9));
        Write("3-web1-extra", Crashed.AddSeconds(-10));
        File.CreateSymbolicLink(Path.Combine(_folder, "3-web1-2026-11-24-13:31:47"), "/etc/passwd");
        Assert.Null(LibvirtDumps.Find(_folder, 3, "web1", Crashed));
        string its = Write("3-web1-2026-11-24-13:31:46", Crashed.AddSeconds(9));
        Assert.Equal(its, LibvirtDumps.Find(_folder, 3, "web1", Crashed));
        string longName = Write("3-abcdefghijklmnopqrst-2026-11-24-13:31:46", Crashed.AddSeconds(9));
        Assert.Equal(longName, LibvirtDumps.Find(_folder, 3, "abcdefghijklmnopqrstuvwxyz", Crashed));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_dump_moves_into_the_case_from_whatever_disk(bool isElsewhere)
    {
        string from = isElsewhere ? Elsewhere() : _folder;
        try
        {
            byte[] content = [0x7f, (byte)'E', (byte)'L', (byte)'F', .. new byte[100_000]];
            string dump = Path.Combine(from, "dump");
            File.WriteAllBytes(dump, content);
            File.SetUnixFileMode(dump, (UnixFileMode)0b110_110_110);
            CaseFolder file = Case();
            int published = 0;
            Assert.Equal(MemoryFormat.Elf, await AdoptedDump.TakeAsync(dump, file, Options(0), (_, _) => published++, CancellationToken.None));
            Assert.Equal(1, published);
            Assert.False(File.Exists(dump));
            Assert.Equal(content, File.ReadAllBytes(file.PartialVmcore));
            Assert.Equal((UnixFileMode)0b110_000_000, File.GetUnixFileMode(file.PartialVmcore));
        }
        finally
        {
            if (isElsewhere)
            {
                Directory.Delete(from, recursive: true);
            }
        }
    }

    [Fact]
    public async Task What_is_no_dump_or_has_no_room_stays_where_it_is()
    {
        string text = Path.Combine(_folder, "text");
        File.WriteAllText(text, "this is no memory of any machine");
        CaseFolder file = Case();
        Assert.Contains("neither an ELF core", (await Assert.ThrowsAsync<MachineException>(() => AdoptedDump.TakeAsync(text, file, Options(0), NotPublished, CancellationToken.None))).Message, StringComparison.Ordinal);
        Assert.True(File.Exists(text));
        string elsewhere = Elsewhere();
        try
        {
            string dump = Path.Combine(elsewhere, "dump");
            File.WriteAllText(dump, "\u007fELF............");
            Assert.Contains("KeepFree", (await Assert.ThrowsAsync<MachineException>(() => AdoptedDump.TakeAsync(dump, file, Options(1), NotPublished, CancellationToken.None))).Message, StringComparison.Ordinal);
            Assert.True(File.Exists(dump));
            Assert.False(File.Exists(file.PartialVmcore));
        }
        finally
        {
            Directory.Delete(elsewhere, recursive: true);
        }
    }

    /// <summary>/dev/shm is another file system than the one of temporary folders.</summary>
    private static string Elsewhere() => Directory.CreateDirectory($"/dev/shm/vsockpair-dumps-{Guid.NewGuid():N}").FullName;

    private static void NotPublished(Linux.Fd target, CaseFolder file) => Assert.Fail("it was published");

    private CollectorOptions Options(double keepFree) => new() { StoreDirectory = _folder, Store = new StoreOptions { KeepFree = keepFree } };

    private CaseFolder Case() => new CaseFolders(Options(0), TimeProvider.System).Create(new CaseEvent { Id = "", Guest = "web1", Kind = CaseKinds.Panic, Time = Crashed, Source = "libvirt:qemu:///system#web1" });

    private string Write(string name, DateTimeOffset written)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, "");
        File.SetLastWriteTimeUtc(path, written.UtcDateTime);
        return path;
    }
}
