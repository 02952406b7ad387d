using VsockPair.Demo;
using VsockPair.TestKit;
using VsockPair.TestKit.Store;
using VsockPair.TestKit.Vm;

// make demo: the main job on a real guest, live. Everything that it starts ends with it; the recorded data stays.
const string Name = "demo";
const int Vcpus = 2;
string folder = Path.Combine(Repository.Root, "out", "demo");
string vms = Directory.CreateTempSubdirectory("vsockpair-demo-").FullName;

Step("1/7  the host: `vsockpair serve`, with small segments so that rotation can be seen, and `vsockpair watch`, which looks for crashes");
if (Directory.Exists(folder))
{
    Directory.Delete(folder, recursive: true);
}
Directory.CreateDirectory(folder);
await using CollectorProcess collector = new(Path.Combine(folder, "store"), "[Store]\nSegmentBytes=2M\n", $"hybrid:{vms}/{{name}}.vsock");
await collector.StartAsync();
await using WatchProcess watch = new(collector.Store, "", $"{vms}/{{name}}.qmp", libvirt: null);
await watch.StartAsync();
Console.Write(collector.Output + watch.Output);

StoredGuest stored = new(collector.Store, Name);
LiveView view = new(stored, Vcpus);
try
{
    Step($"2/7  a real guest: Linux 6.12 with {Vcpus} vCPUs under QEMU (emulated, about 5 s), `vsockpair-agent` in it");
    await using AgentGuest guest = await AgentGuest.StartAsync(
        new GuestOptions
        {
            Name = Name, Cpus = Vcpus, VsockDirectory = vms, Ramoops = true, ExtraKernelArguments = "printk.devkmsg=on",
            // QEMU serves one client of a monitor's socket, and the rig has its own.
            QemuArguments = ["-qmp", $"unix:{vms}/{Name}.qmp,server=on,wait=off"],
        });
    await WatchAsync(Task.Delay(TimeSpan.FromSeconds(4)));
    Console.WriteLine(await guest.AgentLogAsync());

    Step("3/7  load in the guest: scheduler events on every vCPU, 15 s");
    await WatchAsync(guest.LoadAsync(15, 800_000));

    Step("4/7  its kernel panics: `vsockpair watch` takes its memory and lets it go on; it writes its crash record into RAM and reboots");
    await guest.Guest.PanicAsync();
    await WatchAsync(guest.Guest.WaitForRebootAsync());
    await WatchAsync(Eventually.TrueAsync(
        () => stored.Boots.Any(boot => boot.PstoreFiles.Count > 0), TimeSpan.FromSeconds(60), "the crash record in the store", guest.Guest));
    Console.WriteLine("the case waits for what the new boot brings, 20 s");
    await WatchAsync(Eventually.TrueAsync(
        () => watch.Output.Contains(" is closed", StringComparison.Ordinal), TimeSpan.FromSeconds(120), "the case to be closed", guest.Guest));
    Console.WriteLine(watch.Output);
    await guest.StopAgentAsync();
}
finally
{
    Directory.Delete(vms, recursive: true);
}

Step("5/7  what an operator sees");
await ShowAsync("guests");
await ShowAsync("losses", Name);
await ShowAsync("kmsg", Name, "-b", "-1");
await watch.StopAsync();
await collector.StopAsync();

Step("6/7  the last seconds before the panic, for trace-cmd and KernelShark; the collector is gone, files are enough");
string dat = Path.Combine(folder, "last-seconds.dat");
await ShowAsync("export", Name, "-b", "-1", "-S", "-5s", "-o", dat);
Console.WriteLine($"\n$ trace-cmd report -i {Path.GetRelativePath(Repository.Root, dat)}");
List<string> report = [];
await TraceCmdReport.PrintAsync(dat, report.Add);
report.Take(12).ToList().ForEach(Console.WriteLine);
Console.WriteLine($"… {report.Count - 12} lines …");

Step("7/7  the finished case, with everything that is known of the crash");
await ShowAsync("cases", "last");

Step($"the data stays in {Path.GetRelativePath(Repository.Root, collector.Store)}");
foreach (StoredBoot boot in stored.Boots)
{
    Console.WriteLine($"  boots/{boot.BootId}: {boot.KmsgRecords.Count} log records, "
        + string.Join(", ", Enumerable.Range(0, Vcpus).Select(vcpu => $"cpu{vcpu} {boot.Events(vcpu)} events in {boot.Segments(vcpu).Count} segments"))
        + string.Concat(boot.PstoreFiles.Select(file => $", pstore/{Path.GetFileName(file)}")));
}
Console.WriteLine($"""

    trace/cpuN/*.pages   the kernel's own ring-buffer pages, with a .sum beside each closed one, and compressed (.zst) a minute later
    kmsg/*.kmsg          what /dev/kmsg returned, byte for byte
    pstore/              crash records, byte for byte
    ../../metadata/      event formats, symbols, types: what decoding needs

    look again with:  out/vsockpair guests --store {Path.GetRelativePath(Repository.Root, collector.Store)}
    for Perfetto:     out/vsockpair export {Name} -b -1 -o last.pftrace --store {Path.GetRelativePath(Repository.Root, collector.Store)}
    """);

static void Step(string text) => Console.WriteLine($"\n== {text}");

async Task WatchAsync(Task work)
{
    do
    {
        await Task.WhenAny(work, Task.Delay(TimeSpan.FromSeconds(1)));
        view.Show();
    }
    while (!work.IsCompleted);
    await work;
}

async Task ShowAsync(params string[] arguments)
{
    const int MostLines = 25;
    Console.WriteLine($"\n$ vsockpair {string.Join(' ', arguments)}");
    CommandOutput output = await collector.RunAsync(arguments);
    string[] lines = (output.Text + output.Error).TrimEnd('\n').Split('\n');
    foreach (string line in lines.Length > MostLines ? [$"… {lines.Length - MostLines} lines …", .. lines[^MostLines..]] : lines)
    {
        Console.WriteLine(line);
    }
}
