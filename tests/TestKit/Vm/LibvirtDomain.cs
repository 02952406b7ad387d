using System.Security;

namespace VsockPair.TestKit.Vm;

/// <summary>A test guest that libvirt runs, as a domain that it keeps. The links to the test are QEMU's own arguments, which libvirt passes on.</summary>
public sealed class LibvirtDomain : IAsyncDisposable
{
    private readonly string _directory;
    private readonly ChildProcess _backend;
    private readonly LibvirtHost _host;

    private LibvirtDomain(LibvirtHost host, string directory, ChildProcess backend, Guest guest)
    {
        _host = host;
        _directory = directory;
        _backend = backend;
        Guest = guest;
    }

    public Guest Guest { get; }

    public static async Task<LibvirtDomain> StartAsync(LibvirtHost host, GuestOptions options, string onCrash, CancellationToken cancellationToken = default)
    {
        string directory = Directory.CreateTempSubdirectory("vsockpair-").FullName;
        ChildProcess? backend = null;
        try
        {
            File.SetUnixFileMode(directory, (UnixFileMode)0b111_101_101);
            string initramfs = Path.Combine(directory, "initramfs");
            QemuCommandLine.Check(options, await Initramfs.WriteAsync(initramfs, options, QemuCommandLine.RamoopsParameters(options), ["command"]));
            // libvirt gives both to its QEMU's user, which has no way into the cache.
            string kernel = Path.Combine(directory, "vmlinuz");
            File.Copy(RigCache.FindKernel(options.Kernel).Image, kernel);
            string socket = Path.Combine(directory, "backend.sock");
            backend = await GuestProcesses.StartBackendAsync(options.Cid, socket, Path.Combine(options.VsockDirectory ?? directory, $"{options.Name}.vsock"), cancellationToken);
            using var links = new GuestLinks($"{directory}/");
            foreach (string open in GuestLinks.Names.Select(links.PathOf).Append(socket))
            {
                File.SetUnixFileMode(open, (UnixFileMode)0b110_110_110);
            }

            string xml = Path.Combine(directory, "domain.xml");
            await File.WriteAllTextAsync(xml, Xml(options, onCrash, kernel, initramfs, links, socket), cancellationToken);
            await host.VirshAsync("define", xml);
            await host.VirshAsync("start", options.Name);
            Stream[] streams = await links.AcceptAsync(cancellationToken);
            Guest guest = await Guest.AttachAsync(options.Name, directory, streams, options.BootTimeout, cancellationToken);
            return new LibvirtDomain(host, directory, backend, guest);
        }
        catch
        {
            if (backend is not null)
            {
                await backend.DisposeAsync();
            }

            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if ((await _host.VirshAsync("list", "--name")).Split('\n').Contains(Guest.Name))
        {
            await _host.VirshAsync("destroy", Guest.Name);
        }

        await Guest.DisposeAsync();
        await _backend.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }

    private static string Xml(GuestOptions options, string onCrash, string kernel, string initramfs, GuestLinks links, string backend)
    {
        IEnumerable<string> arguments =
        [
            .. GuestLinks.Names.SelectMany(link => GuestProcesses.Connect(link, links.PathOf(link))),
            "-serial", "chardev:console",
            "-device", "virtio-serial-pci",
            "-device", "virtserialport,chardev=command,name=command",
            "-mon", "chardev=qmp,mode=control",
            .. GuestProcesses.Connect("vsock", backend),
            "-device", "vhost-user-vsock-pci,chardev=vsock",
            .. options.QemuArguments,
        ];
        return $"""
            <domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
              <name>{options.Name}</name>
              <memory unit='MiB'>{options.MemoryMiB}</memory>
              <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
              <vcpu>{options.Cpus}</vcpu>
              <os>
                <type arch='x86_64' machine='q35'>hvm</type>
                <kernel>{kernel}</kernel>
                <initrd>{initramfs}</initrd>
                <cmdline>{SecurityElement.Escape(QemuCommandLine.KernelArguments(options))}</cmdline>
              </os>
              <features><acpi/><smm state='off'/><vmcoreinfo state='on'/></features>
              <cpu mode='custom'><model>Nehalem</model></cpu>
              <on_crash>{onCrash}</on_crash>
              <devices>
                <controller type='usb' model='none'/>
                <memballoon model='none'/>
                <panic model='isa'/>
              </devices>
              <qemu:commandline>
                {string.Join("\n    ", arguments.Select(argument => $"<qemu:arg value='{SecurityElement.Escape(argument)}'/>"))}
              </qemu:commandline>
            </domain>
            """;
    }
}
