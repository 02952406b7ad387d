using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>The rig itself: what every other test with a guest takes for granted.</summary>
public sealed class RigTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(GuestKernel.Linux612, "6.12.")]
    [InlineData(GuestKernel.Linux61, "6.1.")]
    public async Task Runs_commands_and_passes_files_on_each_kernel(GuestKernel kernel, string release)
    {
        byte[] hostFile = RandomNumberGenerator.GetBytes(300_001);
        string hostPath = Path.GetTempFileName();
        await File.WriteAllBytesAsync(hostPath, hostFile);
        try
        {
            await using Guest guest = await Guest.StartAsync(new GuestOptions
            {
                Kernel = kernel,
                Cpus = 4,
                Files = { ["/data/in.bin"] = hostPath },
                Texts = { ["/etc/greeting"] = "hello" },
                InitScript = "echo \"$(cat /etc/greeting) from $(nproc) cpus\" > /run/greeting",
            });
            output.WriteLine($"{kernel}: booted in {guest.BootTime.TotalSeconds:0.0} s");

            Assert.StartsWith(release, (await guest.RunAsync("uname -r")).Text, StringComparison.Ordinal);
            Assert.Equal("hello from 4 cpus\n", (await guest.RunAsync("cat /run/greeting")).Text);
            Assert.Equal(hostFile, await guest.ReadFileAsync("/data/in.bin"));

            byte[] large = RandomNumberGenerator.GetBytes(8_000_003);
            await guest.WriteFileAsync("/tmp/it's large", large);
            Assert.Equal(large, await guest.ReadFileAsync("/tmp/it's large"));

            CommandResult mixed = await guest.RunAsync("echo out; echo err >&2; kill -TERM $$");
            Assert.Equal("out\n", mixed.Text);
            Assert.Equal("err\n", mixed.ErrorText);
            Assert.Equal(128 + 15, mixed.ExitCode);

            // A program left in the background does not hold the command up; overlapping commands do not mix.
            await guest.RunAsync("sleep 100 &");
            CommandResult[] both = await Task.WhenAll(guest.RunAsync("sleep 0.5; echo slow"), guest.RunAsync("echo quick"));
            Assert.Equal(["slow\n", "quick\n"], both.Select(result => result.Text));

            Assert.Contains("events", (await guest.RunAsync("ls /sys/kernel/tracing")).Text, StringComparison.Ordinal);
            Assert.DoesNotContain("init:", guest.ConsoleText, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(hostPath);
        }
    }

    [Theory]
    [InlineData(GuestKernel.Linux612)]
    [InlineData(GuestKernel.Linux61)]
    public async Task Keeps_the_crash_record_across_a_panic(GuestKernel kernel)
    {
        await using Guest guest = await Guest.StartAsync(new GuestOptions { Kernel = kernel, Ramoops = true });
        Assert.Equal("", (await guest.RunAsync("ls /sys/fs/pstore")).Text);

        await guest.PanicAsync();
        await guest.WaitForRebootAsync();

        string record = Encoding.Latin1.GetString(await guest.ReadFileAsync("/sys/fs/pstore/dmesg-ramoops-0"));
        Assert.StartsWith("Panic#1 Part1", record, StringComparison.Ordinal);
        Assert.Contains("sysrq", record, StringComparison.OrdinalIgnoreCase);

        await guest.RebootAsync();
        Assert.Contains("dmesg-ramoops-0", (await guest.RunAsync("ls /sys/fs/pstore")).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stops_at_a_panic_until_told_to_go_on()
    {
        await using Guest guest = await Guest.StartAsync(new GuestOptions { PauseOnPanic = true, Ramoops = true });
        await guest.PanicAsync();
        await guest.Qmp.WaitForEventAsync("GUEST_PANICKED", TimeSpan.FromSeconds(30));
        await guest.Qmp.WaitForEventAsync("STOP", TimeSpan.FromSeconds(30));
        Assert.Equal("guest-panicked", (await guest.Qmp.ExecuteAsync("query-status"))!["status"]!.GetValue<string>());

        await guest.Qmp.ExecuteAsync("cont");
        await guest.WaitForRebootAsync();
        Assert.Contains("dmesg-ramoops-0", (await guest.RunAsync("ls /sys/fs/pstore")).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Keeps_the_persistent_trace_buffer_across_a_panic()
    {
        await using Guest guest = await Guest.StartAsync(new GuestOptions { PersistentTraceBuffer = true });
        (await guest.RunAsync("cd /sys/kernel/tracing/instances/boot_map && echo 1 > events/sched/sched_switch/enable && echo 1 > tracing_on && sleep 1"))
            .EnsureSuccess();
        await guest.PanicAsync();
        await guest.WaitForRebootAsync();
        CommandResult trace = await guest.RunAsync("grep -c sched_switch /sys/kernel/tracing/instances/boot_map/trace");
        output.WriteLine($"events of the boot before: {trace.Text}");
        Assert.True(int.Parse(trace.EnsureSuccess().Text, null) > 10);
    }

    [Fact]
    public async Task Says_what_is_wrong_with_the_console_when_a_wait_fails()
    {
        await using Guest guest = await Guest.StartAsync(new GuestOptions());
        await guest.RunAsync("echo the last words > /dev/console");

        var late = await Assert.ThrowsAsync<GuestException>(() => guest.RunAsync("sleep 100", TimeSpan.FromSeconds(1)));
        Assert.Contains("'sleep 100' to end", late.Message, StringComparison.Ordinal);
        Assert.Contains("the last words", late.Message, StringComparison.Ordinal);
        await Eventually.TrueAsync(
            async () => (await guest.RunAsync("pidof sleep")).ExitCode != 0, TimeSpan.FromSeconds(10), "the late command's end", guest);

        var never = await Assert.ThrowsAsync<GuestException>(
            () => Eventually.TrueAsync(() => false, TimeSpan.FromSeconds(0.2), "a condition that never holds", guest));
        Assert.Contains("a condition that never holds", never.Message, StringComparison.Ordinal);

        await guest.PanicAsync();
        var reset = await Assert.ThrowsAsync<GuestException>(async () =>
        {
            await guest.Qmp.WaitForEventAsync("RESET", TimeSpan.FromSeconds(60));
            await guest.RunAsync("true");
        });
        Assert.Contains("did not wait for its reboot", reset.Message, StringComparison.Ordinal);

        await guest.WaitForRebootAsync();
        Task<CommandResult> cutShort = guest.RunAsync("sleep 100");
        await guest.Qmp.ExecuteAsync("quit");
        var dead = await Assert.ThrowsAsync<GuestException>(() => cutShort);
        Assert.Contains("QEMU ended", dead.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_guests_reach_their_own_sockets_side_by_side()
    {
        string directory = Directory.CreateTempSubdirectory("vsockpair-").FullName;
        string vsockCat = await StaticProgram.VsockCatAsync();
        try
        {
            GuestKernel[] kernels = [GuestKernel.Linux612, GuestKernel.Linux61];
            Guest[] guests = await Guest.StartAllAsync(kernels.Select((kernel, index) => new GuestOptions
            {
                Kernel = kernel,
                Name = $"web{index}",
                VsockDirectory = directory,
                Files = { ["/bin/vsock-cat"] = vsockCat },
            }));
            await using Guest first = guests[0];
            await using Guest second = guests[1];

            string[] heard = await Task.WhenAll(guests.Select(guest => ExchangeAsync(guest, $"{directory}/{guest.Name}.vsock_829")));
            Assert.Equal(["I am web0", "I am web1"], heard);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public async Task Vsock_loopback_carries_data_inside_a_guest()
    {
        await using Guest guest = await Guest.StartAsync(new GuestOptions
        {
            Files = { ["/bin/vsock-cat"] = await StaticProgram.VsockCatAsync() },
        });
        CommandResult result = await guest.RunAsync(
            "vsock-cat -l 829 > /tmp/heard 2> /tmp/from & sleep 1; echo inside | vsock-cat 1 829; wait; cat /tmp/heard /tmp/from");
        Assert.Equal("inside\nconnection from CID 1\n", result.EnsureSuccess().Text);
    }

    [Fact]
    public async Task Counts_instructions_with_little_noise()
    {
        await using Guest guest = await Guest.StartAsync(new GuestOptions { InstructionCounting = true, Cpus = 1 });
        await guest.RunAsync("sleep 8");
        const string Measure = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; cut -d ' ' -f 1 /proc/self/schedstat; cut -d ' ' -f 1 /proc/$$/schedstat";
        double[] counts = [await CountAsync(), await CountAsync(), await CountAsync()];
        output.WriteLine($"instructions: {string.Join(", ", counts)}; boot {guest.BootTime.TotalSeconds:0.0} s");
        Assert.InRange(counts.Max() / counts.Min(), 1.0, 1.03);

        async Task<double> CountAsync() =>
            double.Parse((await guest.RunAsync(Measure)).EnsureSuccess().Text.Split('\n')[1], null);
    }

    /// <summary>The guest says who it is; the host answers, and hears its answer echoed by the guest's exit code.</summary>
    private static async Task<string> ExchangeAsync(Guest guest, string socketPath)
    {
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(socketPath));
        listener.Listen();
        Task<CommandResult> sending = guest.RunAsync("echo -n \"I am $(hostname)\" | vsock-cat 2 829");
        using Socket connection = await listener.AcceptAsync().WaitAsync(TimeSpan.FromSeconds(30));
        byte[] buffer = new byte[100];
        int count = await connection.ReceiveAsync(buffer);
        await connection.SendAsync("welcome"u8.ToArray());
        connection.Shutdown(SocketShutdown.Send);
        Assert.Equal("welcome", (await sending).EnsureSuccess().Text);
        return Encoding.UTF8.GetString(buffer, 0, count);
    }
}
