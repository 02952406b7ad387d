using System.Text.Json;
using VsockPair.GuestAgent.Checks;
using VsockPair.GuestAgent.Configuration;
using VsockPair.GuestAgent.Connections;
using VsockPair.GuestAgent.Tests.Sessions;
using VsockPair.Linux;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Tests.Checks;

/// <summary>Each check of a guest, in a tree of the kernel's files.</summary>
public sealed class ReadinessTests : IDisposable
{
    private readonly FakeGuest _guest = new();

    public ReadinessTests() => ReadyGuest.Prepare(_guest);

    /// <summary>Check, what spoils it (a path to write, with its text, or a path to remove), and a part of what mends it.</summary>
    public static TheoryData<string, string, string?, string> Faults => new()
    {
        { "pvpanic", ReadyGuest.PciDevice, null, "-device pvpanic-pci" },
        { "pvpanic", $"{ReadyGuest.PciDevice}/driver", null, "modprobe pvpanic-pci" },
        { "pvpanic", $"{ReadyGuest.PciDevice}/events", "2", "echo 3 > " },
        { "pvpanic", $"{ReadyGuest.PciDevice}/capability", "2", "QEMU 5.0" },
        { "panic-timeout", "proc/sys/kernel/panic", "0\n", "sysctl -w kernel.panic=10" },
        { "panic-timeout", "proc/sys/kernel/panic", null, "sysctl -w kernel.panic=10" },
        { "panic-on-oops", "proc/sys/kernel/panic_on_oops", "0\n", "sysctl -w kernel.panic_on_oops=1" },
        { "vmcoreinfo", "sys/kernel/vmcoreinfo", null, "CONFIG_VMCORE_INFO" },
        { "vmcoreinfo", "sys/firmware/qemu_fw_cfg/by_name/etc", null, "-device vmcoreinfo" },
        { "vmcoreinfo", "sys/firmware", null, "modprobe qemu_fw_cfg" },
        { "pstore", "sys/module/pstore/parameters/backend", "(null)\n", "ramoops.mem_address" },
        { "pstore", "sys/module/pstore", null, "ramoops.mem_address" },
        { "pstore", "sys/module/ramoops/parameters/record_size", "0\n", "ramoops.record_size" },
        { "pstore", "proc/mounts", "proc /proc proc rw 0 0\n", "mount -t pstore" },
        { "persistent-ring", ReadyGuest.Ring, null, "trace_instance=boot_map" },
        { "tracefs", "sys/kernel/tracing/trace_clock", null, "mount -t tracefs" },
        { "kallsyms", "proc/kallsyms", "0000000000000000 T _text\n", "kptr_restrict" },
        { "btf", "sys/kernel/btf/vmlinux", null, "CONFIG_DEBUG_INFO_BTF" },
    };

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void A_guest_that_has_everything_lacks_nothing()
    {
        List<ReadinessCheck> checks = Look();
        Assert.All(checks, c => Assert.Equal((CheckState.Ok, ""), (c.State, c.Fix)));
        Assert.Equal(10, checks.Select(c => c.Check).Distinct().Count());
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public void What_is_missing_comes_first_with_what_mends_it(string check, string path, string? text, string fix)
    {
        if (text is null)
        {
            Remove(path);
        }
        else
        {
            _guest.Write(path, text);
        }
        List<ReadinessCheck> checks = Look();
        Assert.Equal((check, CheckState.Missing), (checks[0].Check, checks[0].State));
        Assert.Contains(fix, checks[0].Fix, StringComparison.Ordinal);
        // Without tracefs there is no ring either, and that is said.
        Assert.All(checks.Skip(1), c => Assert.True(c.State == CheckState.Ok || check == "tracefs" || (path == "sys/firmware" && c.Check == "vmcoreinfo"), c.Check));
    }

    [Fact]
    public void An_acpi_device_will_do_and_its_driver_has_another_name()
    {
        Remove(ReadyGuest.PciDevice);
        const string Device = "sys/bus/platform/devices/QEMU0001:00";
        _guest.Write($"{Device}/capability", "1\n");
        Assert.Contains("modprobe pvpanic-mmio", Look()[0].Fix, StringComparison.Ordinal);
        _guest.Write($"{Device}/driver/module", "");
        _guest.Write($"{Device}/events", "1\n");
        Assert.Equal((CheckState.Ok, "QEMU0001:00 tells the host of a panic"), (Find("pvpanic").State, Find("pvpanic").Text));
    }

    [Fact]
    public void A_loaded_crash_kernel_must_let_the_host_be_told_first()
    {
        _guest.Write("sys/kernel/kexec_crash_loaded", "1\n");
        Assert.Equal(CheckState.Missing, Find("kdump").State);
        Assert.Contains("crash_kexec_post_notifiers", Find("kdump").Fix, StringComparison.Ordinal);

        _guest.Write("sys/module/kernel/parameters/crash_kexec_post_notifiers", "Y\n");
        Assert.Equal(CheckState.Ok, Find("kdump").State);
        Assert.Equal(CheckState.Ok, Find("pvpanic").State);

        // The driver then tells of nothing but a panic that kdump handles.
        _guest.Write($"{ReadyGuest.PciDevice}/events", "1\n");
        Assert.Equal(CheckState.Missing, Find("pvpanic").State);
    }

    [Fact]
    public void An_older_kernel_is_not_blamed_for_what_it_cannot_have()
    {
        Remove(ReadyGuest.Ring);
        _guest.Write("proc/sys/kernel/osrelease", "6.1.0-26-amd64\n");
        Assert.Equal(CheckState.NotCounted, Find("persistent-ring").State);
        _guest.Write("proc/sys/kernel/osrelease", "6.12.41+deb13-cloud-amd64\n");
        Assert.Equal(CheckState.Missing, Find("persistent-ring").State);
    }

    [Fact]
    public void Command_exits_with_1_when_something_is_missing()
    {
        Assert.Equal((ExitCode.Done, ExitCode.Done), (Run(json: false), Run(json: true)));
        Remove("dev/vsock");
        Assert.Equal((ExitCode.Failed, ExitCode.Failed), (Run(json: false), Run(json: true)));
        _guest.Write("dev/vsock", "");
        Assert.Equal(ExitCode.Failed, Run(json: false, answers: false));
    }

    [Fact]
    public void Text_is_one_line_for_each_check()
    {
        _guest.Write("proc/sys/kernel/panic", "0\n");
        List<ReadinessCheck> checks = Look();
        string[] lines = CheckCommand.ToText(checks, 1).Split('\n');
        Assert.Equal(checks.Count + 1, lines.Length);
        Assert.StartsWith("MISSING  panic-timeout     kernel.panic is 0", lines[0], StringComparison.Ordinal);
        Assert.Contains("to mend it: sysctl -w kernel.panic=10", lines[0], StringComparison.Ordinal);
        Assert.StartsWith("ok       pvpanic           0000:00:03.0 tells", lines[1], StringComparison.Ordinal);
        Assert.Equal("missing: 1 of 10", lines[^1]);
    }

    [Fact]
    public void Json_is_json_whatever_a_file_says()
    {
        List<ReadinessCheck> checks = [new("a", CheckState.Missing, "\"\\\u0001é", "b"), new("c", CheckState.NotCounted, "", ""), new("d", CheckState.Ok, "", "")];
        JsonElement root = JsonDocument.Parse(CheckCommand.ToJson(checks, 1)).RootElement;
        Assert.False(root.GetProperty("ok").GetBoolean());
        JsonElement[] shown = [.. root.GetProperty("checks").EnumerateArray()];
        Assert.Equal("\"\\\u0001é", shown[0].GetProperty("text").GetString());
        Assert.Equal([JsonValueKind.False, JsonValueKind.Null, JsonValueKind.True], shown.Select(c => c.GetProperty("ok").ValueKind));
    }

    private List<ReadinessCheck> Look() => GuestReadiness.Look(_guest.Paths);

    private ReadinessCheck Find(string check) => Look().Single(c => c.Check == check);

    private int Run(bool json, bool answers = true) => CheckCommand.Run(new AgentOptions(), _guest.Paths, new FakeHost(answers), json);

    private void Remove(string path)
    {
        string full = Path.Combine(_guest.Root, path);
        if (Directory.Exists(full))
        {
            Directory.Delete(full, recursive: true);
        }
        else
        {
            File.Delete(full);
        }
    }

    private sealed class FakeHost(bool answers) : IHostConnector
    {
        public string Target => "vsock 2:829";

        public Fd Connect(ConnectionKind kind) => answers ? new Fd(Sys.EventFd()) : throw new LinuxException("connect", Errno.ECONNRESET, Target);
    }
}
