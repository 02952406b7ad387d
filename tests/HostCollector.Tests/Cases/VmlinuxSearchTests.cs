using System.Buffers.Binary;
using VsockPair.Cases;
using VsockPair.Commands;
using VsockPair.Options;
using VsockPair.Storage;

namespace VsockPair.HostCollector.Tests.Cases;

public sealed class VmlinuxSearchTests : IDisposable
{
    private const string Id = SampleCase.BuildId;
    private const string Other = "ffffffffffffffffffffffffffffffffffffffff";
    private const string Release = "6.1.0-44-amd64";

    private readonly string _root = Directory.CreateTempSubdirectory("vsockpair-vmlinux-").FullName;

    private string Store => Path.Combine(_root, "store");

    [Fact]
    public void Places_are_tried_in_order_and_a_name_alone_convinces_nobody()
    {
        VmlinuxSearch search = new(Store, new WatchOptions { Vmlinux = Path.Combine(_root, "kernels") }, _root);
        string[] places =
        [
            Path.Combine(_root, "usr/lib/debug/lib/modules", Release, "vmlinux"),
            Path.Combine(_root, "usr/lib/debug/boot", "vmlinux-" + Release),
            Path.Combine(_root, "kernels/2026-01/vmlinux-mine"),
            Path.Combine(_root, "usr/lib/debug/.build-id", Id[..2], Id[2..] + ".debug"),
            StorePaths.Vmlinux(Store, Id),
        ];
        Assert.Null(search.Find(Id, Release));
        foreach (string place in places)
        {
            Write(place, Elf(Other, asSection: true));
        }
        Assert.Null(search.Find(Id, Release));
        foreach (string place in places)
        {
            Write(place, Elf(Id, asSection: place.EndsWith(".debug", StringComparison.Ordinal)));
            Assert.Equal(place, search.Find(Id, Release));
        }
    }

    [Theory]
    [InlineData("../../../etc/x")]
    [InlineData("6.1; rm -rf ~")]
    [InlineData("-x")]
    [InlineData("")]
    public void A_release_that_is_none_becomes_neither_a_path_nor_a_command(string release)
    {
        VmlinuxSearch search = new(Store, new WatchOptions(), _root);
        Write(Path.Combine(_root, "usr/lib/debug/boot", "vmlinux-" + release.Replace('/', '_')), Elf(Id, asSection: true));
        Assert.Null(search.Find(Id, release));
        Assert.Equal($"put it at {StorePaths.Vmlinux(Store, Id)}", search.HowToGet(Id, release));
    }

    [Theory]
    [InlineData("6.1.0-44-amd64", "apt-get install linux-image-6.1.0-44-amd64-dbg")]
    [InlineData("5.15.0-91-generic", "apt-get install linux-image-5.15.0-91-generic-dbgsym (from ddebs.ubuntu.com)")]
    [InlineData("5.14.0-427.el9.x86_64", "dnf debuginfo-install kernel-5.14.0-427.el9.x86_64")]
    [InlineData("6.15.0-mine+", "take vmlinux from the folder where 6.15.0-mine+ was built")]
    public void What_brings_it_depends_on_whose_kernel_it_is(string release, string expected) =>
        Assert.StartsWith(expected, new VmlinuxSearch(Store, new WatchOptions(), _root).HowToGet(Id, release), StringComparison.Ordinal);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Damaged_files_have_no_build_id_or_theirs(bool asSection)
    {
        byte[] good = Elf(Id, asSection);
        Random random = new(1);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] bad = good[..(i % 3 == 0 ? random.Next(good.Length) : good.Length)];
            for (int n = random.Next(1, 8); n > 0 && bad.Length > 0; n--)
            {
                bad[random.Next(bad.Length)] = (byte)(random.Next(2) == 0 ? random.Next(256) : 0xFF);
            }
            using MemoryStream file = new(bad);
            Assert.True(BuildIdNote.TryRead(file) is null or { Length: <= 64 });
        }
    }

    [Fact]
    public async Task Debug_prints_the_line_that_works_or_what_is_missing_for_it()
    {
        using SampleCase sample = SampleCase.WithAll();
        async Task<string> FailAsync(int expected)
        {
            (int exitCode, _, string error) = await sample.Store.RunAsync("debug", "last", "--print");
            Assert.Equal(expected, exitCode);
            return error;
        }
        Assert.Contains("has no memory: the policy of this guest is Memory=none", await FailAsync(ExitCode.NothingFound), StringComparison.Ordinal);
        string vmcore = Path.Combine(sample.Folder, CasePaths.Vmcore);
        File.WriteAllBytes(vmcore, new byte[1000]);
        sample.WriteEvent(sample.Event with { Memory = new CaseMemory("mini", MemoryTaken.Mini, "elf", null, 0.1) });
        Assert.Contains("crash needs all of it", await FailAsync(ExitCode.Failed), StringComparison.Ordinal);
        sample.WriteEvent(sample.Event with { Memory = new CaseMemory("full", MemoryTaken.Full, "elf", null, 1) });
        Assert.Contains($"vsockpair assemble {sample.Id}", await FailAsync(ExitCode.Failed), StringComparison.Ordinal);
        sample.Assemble(final: true);
        Assert.Contains("apt-get install linux-image-6.12.0-amd64-dbg, or put it at", await FailAsync(ExitCode.NothingFound), StringComparison.Ordinal);
        string vmlinux = StorePaths.Vmlinux(sample.Store.Root, SampleCase.BuildId);
        Write(vmlinux, Elf(SampleCase.BuildId, asSection: true));
        Assert.Equal((ExitCode.Done, $"crash {vmlinux} {vmcore}\n", ""), await sample.Store.RunAsync("debug", "last", "--print"));
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static void Write(string path, byte[] content)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, content);
    }

    /// <summary>An ELF file with two notes, the second of them the build-id.</summary>
    /// <param name="asSection">As files that hold debug information alone have it.</param>
    private static byte[] Elf(string buildId, bool asSection)
    {
        const int notesAt = 192;
        byte[] id = Convert.FromHexString(buildId);
        byte[] notes = [.. Note("Linux\0\0\0", 6, 0x100, new byte[4]), .. Note("GNU\0", 4, 3, id)];
        byte[] file = new byte[notesAt + notes.Length];
        "\u007fELF\u0002\u0001\u0001"u8.CopyTo(file);
        notes.CopyTo(file, notesAt);
        int header = 64;
        if (asSection)
        {
            BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(40), header);
            BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(60), 1);
            BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(header + 4), 7);
            BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(header + 24), notesAt);
        }
        else
        {
            BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(32), header);
            BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(56), 1);
            BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(header), 4);
            BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(header + 8), notesAt);
        }
        BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(header + 32), notes.Length);
        return file;
    }

    private static byte[] Note(string name, int nameBytes, uint type, byte[] value)
    {
        byte[] note = new byte[12 + name.Length + value.Length];
        BinaryPrimitives.WriteInt32LittleEndian(note, nameBytes);
        BinaryPrimitives.WriteInt32LittleEndian(note.AsSpan(4), value.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(note.AsSpan(8), type);
        System.Text.Encoding.ASCII.GetBytes(name, note.AsSpan(12));
        value.CopyTo(note, 12 + name.Length);
        return note;
    }
}
