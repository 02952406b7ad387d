using System.Collections;
using VsockPair.Linux;
using VsockPair.Options;

namespace VsockPair.HostCollector.Tests.Options;

public sealed class OptionsReaderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("vsockpair-options-").FullName;

    private string Config => Path.Combine(_folder, "vsockpair.conf");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Defaults_are_the_documented_ones_when_nothing_is_configured()
    {
        CollectorOptions options = ReadGood("");
        Assert.Equal("/var/lib/vsockpair", options.StoreDirectory);
        Assert.Equal(
            new StoreOptions
            {
                SegmentBytes = 64 * 1024 * 1024,
                SegmentAge = TimeSpan.FromMinutes(15),
                TraceQuota = 1024 * 1024 * 1024,
                KmsgQuota = 64 * 1024 * 1024,
                TotalShare = 0.2,
                KeepFree = 0.05,
                MaxAge = TimeSpan.FromDays(7),
                ForgetAfter = TimeSpan.FromDays(7),
            },
            options.Store);
        Assert.Equal(new LimitOptions { GuestRate = 4 * 1024 * 1024, HostRate = 64 * 1024 * 1024, MaxCpus = 1024 }, options.Limits);
        Assert.False(options.Listen.AllowLoopback);
        Assert.Equal("vsock::829", Assert.Single(options.Listen.Specs).ToString());
        Assert.Empty(options.Guests);
    }

    [Fact]
    public void Every_key_is_read()
    {
        CollectorOptions options = ReadGood("""
            # comment
            [Store]
            SegmentBytes=1M
            SegmentAge=30s
            TraceQuota=8M
            KmsgQuota=2M
            TotalShare=50%
            KeepFree=0%
            MaxAge=12h
            ForgetAfter=2d
            [Limits]
            GuestRate=1M
            HostRate=2M
            MaxCpus=8
            [Listen]
            Specs=vsock:2:829  hybrid:/run/vms/{name}/vm.sock
            AllowLoopback=yes
            [Guest web1]
            Cid=42
            Uuid=6f1d0c3a-7f0e-4a55-9d0e-3d8f0a1b2c3d
            [Guest db]
            Socket=/run/db/vm.sock
            """);
        Assert.Equal(
            new StoreOptions
            {
                SegmentBytes = 1 << 20,
                SegmentAge = TimeSpan.FromSeconds(30),
                TraceQuota = 8 << 20,
                KmsgQuota = 2 << 20,
                TotalShare = 0.5,
                KeepFree = 0,
                MaxAge = TimeSpan.FromHours(12),
                ForgetAfter = TimeSpan.FromDays(2),
            },
            options.Store);
        Assert.Equal(new LimitOptions { GuestRate = 1 << 20, HostRate = 2 << 20, MaxCpus = 8 }, options.Limits);
        Assert.True(options.Listen.AllowLoopback);
        Assert.Equal(["vsock:2:829", "hybrid:/run/vms/{name}/vm.sock"], options.Listen.Specs.Select(s => s.ToString()));
        Assert.Equal(
            [
                new GuestOptions("db") { Socket = "/run/db/vm.sock" },
                new GuestOptions("web1") { Cid = 42, Uuid = Guid.Parse("6f1d0c3a-7f0e-4a55-9d0e-3d8f0a1b2c3d") },
            ],
            options.Guests);
    }

    [Fact]
    public void Drop_ins_come_after_the_file_and_the_environment_after_both()
    {
        Directory.CreateDirectory(Config + ".d");
        File.WriteAllText(Path.Combine(Config + ".d", "20-b.conf"), "[Limits]\nMaxCpus=3\nGuestRate=3M\n[Guest web1]\nUuid=6f1d0c3a-7f0e-4a55-9d0e-3d8f0a1b2c3d\n");
        File.WriteAllText(Path.Combine(Config + ".d", "10-a.conf"), "[Limits]\nMaxCpus=2\n");
        File.WriteAllText(Path.Combine(Config + ".d", "ignored.txt"), "[Nonsense]\nA=1\n");
        CollectorOptions options = ReadGood(
            "[Limits]\nMaxCpus=1\nGuestRate=1M\nHostRate=9M\n[Guest web1]\nCid=7\n",
            new Dictionary<string, string> { ["VSOCKPAIR__Limits__GuestRate"] = "5M", ["PATH"] = "/bin", ["VSOCKPAIR_OTHER"] = "1" });
        Assert.Equal(new LimitOptions { MaxCpus = 3, GuestRate = 5 << 20, HostRate = 9 << 20 }, options.Limits);
        GuestOptions guest = Assert.Single(options.Guests);
        Assert.Equal((uint?)7, guest.Cid);
        Assert.NotNull(guest.Uuid);
    }

    [Theory]
    [InlineData("[Store]\nSegmentBytes=lots", ":2: SegmentBytes=lots is no size; write 64K to 1T")]
    [InlineData("[Store]\nSegmentBytes=1K", ":2: SegmentBytes=1K is no size; write 64K to 1T")]
    [InlineData("[Store]\nSegmentBytes=-5", ":2: SegmentBytes=-5 is no size")]
    [InlineData("[Store]\nSegmentAge=5 minutes", ":2: SegmentAge=5 minutes is no time; write 1s to 7d")]
    [InlineData("[Store]\nTotalShare=20", ":2: TotalShare=20 is no share; write 1% to 100%")]
    [InlineData("[Store]\nTotalShare=0%", ":2: TotalShare=0% is no share")]
    [InlineData("[Limits]\nMaxCpus=0", ":2: MaxCpus=0 is no such number; write 1 to 8192")]
    [InlineData("[Listen]\nAllowLoopback=perhaps", ":2: AllowLoopback=perhaps is neither yes nor no")]
    [InlineData("[Listen]\nSpecs=", ":2: Specs= is empty; write one or more of vsock::829")]
    [InlineData("[Listen]\nSpecs=vsock::829 tcp:5", ":2: Specs=vsock::829 tcp:5 cannot be: \"tcp:5\" is no place to listen on; write vsock::829")]
    [InlineData("[Store]\n\nSegmentByte=1M", ":3: [Store] has no key \"SegmentByte\"; it has SegmentBytes, SegmentAge")]
    [InlineData("[store]\nSegmentBytes=1M", ":2: there is no section [store]; sections are [Store], [Limits], [Listen], [Watch], [Guest NAME]")]
    [InlineData("SegmentBytes=1M", ":1: \"SegmentBytes\" stands in no section")]
    [InlineData("[Watch]\nQmp=/run/qmp.sock", ":2: Qmp=/run/qmp.sock cannot be: \"/run/qmp.sock\" does not say which guest's socket it is; write NAME=/path/qmp.sock")]
    [InlineData("[Watch]\nQmp=cid-4=/run/qmp.sock", ":2: Qmp=cid-4=/run/qmp.sock cannot be: \"cid-4=/run/qmp.sock\": \"cid-4\" cannot be a guest's name")]
    [InlineData("[Watch]\nQmp=web1=run/qmp.sock", ":2: Qmp=web1=run/qmp.sock cannot be: \"run/qmp.sock\": a socket is named by its whole path from /, of at most 107 bytes")]
    [InlineData("[Watch]\nQmpDir=/run/vms/qmp.sock", ":2: QmpDir=/run/vms/qmp.sock cannot be: \"/run/vms/qmp.sock\" has no place for the guest's name; write /run/vms/{name}/qmp.sock")]
    [InlineData("[Watch]\nQmpDir=/run/{name}/{name}.sock", ":2: QmpDir=/run/{name}/{name}.sock cannot be: \"/run/{name}/{name}.sock\": {name} may stand only once in a path")]
    [InlineData("[Watch]\nMemory=Full", ":2: Memory=Full is none of auto, full, mini or none")]
    [InlineData("[Watch]\nAction=1", ":2: Action=1 is none of continue, stop or reset")]
    [InlineData("[Watch]\nMaxPause=0", ":2: MaxPause=0 is no time; write 1s to 1h")]
    [InlineData("[Watch]\nLibvirt=system", ":2: Libvirt=system is no URI; write one as virsh -c takes it, e.g. qemu:///system")]
    [InlineData("[Watch]\nExec=tell.sh", ":2: Exec=tell.sh is no program; write its whole path from /")]
    [InlineData("[Guest web1]\nMemory=most", ":2: Memory=most is none of auto, full, mini or none")]
    [InlineData("[Guest web1]\nAction=kill", ":2: Action=kill is none of continue, stop or reset")]
    [InlineData("[Watch]\nMemroy=full", ":2: [Watch] has no key \"Memroy\"; it has ")]
    [InlineData("[Watch]\nVmlinux=kernels", ":2: Vmlinux=kernels is no folder; write its whole path from /")]
    [InlineData("[Watch]\nDebuginfod=maybe", ":2: Debuginfod=maybe is neither yes nor no")]
    [InlineData("[Guest web1]\nCid=2", ":2: Cid=2 is no guest's CID; write 3 to 4294967294")]
    [InlineData("[Guest web1]\nSocket=vm.sock", ":2: Socket=vm.sock is no socket; write its whole path")]
    [InlineData("[Guest web1]\nUuid=1234", ":2: Uuid=1234 is no UUID")]
    [InlineData("[Guest web1]\nMac=1234", ":2: [Guest web1] has no key \"Mac\"; it has Cid, Socket, Uuid, Memory, Action")]
    [InlineData("[Guest ../etc]\nCid=5", ":2: \"../etc\" cannot be a guest's name; names are 1 to 64 of")]
    [InlineData("[Guest cid-5]\nCid=6", ":2: \"cid-5\" cannot be a guest's name")]
    [InlineData("[Guest a]\nCid=5\n[Guest b]\nCid=5", ":4: Cid=5 is already that of guest a (")]
    [InlineData("[Store]\nSegmentBytes=1G", ":2: TraceQuota (1 GiB) must be at least twice SegmentBytes (1 GiB)")]
    [InlineData("[Store]\nSegmentBytes=1M\nTraceQuota=1M", ":3: TraceQuota (1 MiB) must be at least twice SegmentBytes (1 MiB)")]
    [InlineData("[Store]\nMaxAge=5m", ":2: MaxAge (5m) must be at least SegmentAge (15m)")]
    [InlineData("[Limits]\nHostRate=1M", ":2: HostRate (1 MiB/s) must be at least GuestRate (4 MiB/s)")]
    [InlineData("[Store]\nwhat is this", ":2: \"what is this\" is neither [Section], Key=Value nor a comment")]
    public void Fault_names_line_what_is_wrong_and_what_would_be_right(string text, string expected)
    {
        string fault = Assert.Single(ReadFaults(text));
        Assert.StartsWith(Config + expected, fault, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', fault);
    }

    [Fact]
    public void All_faults_come_at_once()
    {
        Assert.Equal(4, ReadFaults("[Store]\nA=1\nKmsgQuota=x\n[Limit]\nMaxCpus=4\n[Limits]\nMaxCpus=none").Count);
    }

    [Theory]
    [InlineData("VSOCKPAIR__Limits__MaxCpu", "1", "VSOCKPAIR__Limits__MaxCpu: [Limits] has no key \"MaxCpu\"")]
    [InlineData("VSOCKPAIR__Limits__MaxCpus", "1x", "VSOCKPAIR__Limits__MaxCpus: MaxCpus=1x is no such number")]
    [InlineData("VSOCKPAIR__MaxCpus", "1", "VSOCKPAIR__MaxCpus: \"MaxCpus\" stands in no section")]
    public void Environment_faults_name_the_variable(string name, string value, string expected)
    {
        string fault = Assert.Single(ReadFaults("", new Dictionary<string, string> { [name] = value }));
        Assert.StartsWith(expected, fault, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_file_is_a_fault_only_when_it_was_named()
    {
        string missing = Path.Combine(_folder, "missing.conf");
        Assert.Null(OptionsReader.Read(missing, new Hashtable(), out IReadOnlyList<string> faults));
        Assert.Equal($"{missing}: there is no such file (named by --config)", Assert.Single(faults));
    }

    [Fact]
    public void Every_range_is_one_that_the_defaults_are_in()
    {
        // A bound with a typing error would throw here, not on somebody's host.
        foreach (OptionKey key in OptionKey.All)
        {
            Assert.Null(key.Apply(new CollectorOptions(), "nonsense!", out string expected));
            Assert.NotEmpty(expected);
        }
        ReadGood("[Store]\nSegmentBytes=64M\nSegmentAge=15m\nTraceQuota=1G\nKmsgQuota=64M\nTotalShare=20%\nKeepFree=5%\nMaxAge=7d\nForgetAfter=7d\n"
            + "[Limits]\nGuestRate=4M\nHostRate=64M\nMaxCpus=1024\n[Watch]\nMemory=auto\nMaxPause=10s\nAction=continue\nDumpsPerHour=1\nDumpsPerDay=3\nWaitForBoot=5m\nHangAfter=0\nCaseQuota=20G\nCaseAge=30d\nDebuginfod=no\n");
    }

    [Fact]
    public void Machines_add_up_and_what_is_done_with_a_crashed_guest_can_differ_by_guest()
    {
        CollectorOptions options = ReadGood("""
            [Watch]
            Qmp=web1=/run/web1.qmp  web2=/run/web2.qmp
            Qmp=web3=/run/web3.qmp
            QmpDir=/run/vms/{name}/qmp.sock
            Memory=none
            Action=reset
            HangAfter=90
            Exec=/usr/bin/tell
            [Guest web1]
            Memory=full
            Action=stop
            """);
        Assert.Equal(["web1=/run/web1.qmp", "web2=/run/web2.qmp", "web3=/run/web3.qmp", "/run/vms/{name}/qmp.sock"], options.Watch.Qmp.Select(q => q.ToString()));
        Assert.Equal((MemoryPolicy.None, CrashAction.Reset, TimeSpan.FromSeconds(90), "/usr/bin/tell"), (options.Watch.Memory, options.Watch.Action, options.Watch.HangAfter, options.Watch.Exec));
        Assert.Equal((MemoryPolicy.Full, CrashAction.Stop), (options.Guests[0].Memory!.Value, options.Guests[0].Action!.Value));
        Assert.Equal(new WatchOptions().Memory, ReadGood("").Watch.Memory);
    }

    [Fact]
    public void Ports_of_a_listener_are_the_wires_own()
    {
        Assert.Equal(new VsockListen(new VsockAddress(Constants.VMADDR_CID_ANY, 829)), ListenSpec.Default);
        Assert.Equal("_829", ListenSpec.HybridSuffix);
    }

    private CollectorOptions ReadGood(string text, Dictionary<string, string>? environment = null)
    {
        CollectorOptions? options = Read(text, environment, out IReadOnlyList<string> faults);
        Assert.Empty(faults);
        return Assert.IsType<CollectorOptions>(options);
    }

    private IReadOnlyList<string> ReadFaults(string text, Dictionary<string, string>? environment = null)
    {
        Assert.Null(Read(text, environment, out IReadOnlyList<string> faults));
        return faults;
    }

    private CollectorOptions? Read(string text, Dictionary<string, string>? environment, out IReadOnlyList<string> faults)
    {
        File.WriteAllText(Config, text);
        return OptionsReader.Read(Config, environment ?? [], out faults);
    }
}
