namespace VsockPair.TestKit.Vm;

/// <summary>
/// The production path without hardware virtualisation: an outer guest with vhost_vsock runs a QEMU of its own, whose guest has a
/// real AF_VSOCK device and a CID of its own. Both are driven alike: the inner guest's console, commands and QMP pass through
/// virtio-serial ports of the outer one, which the inner QEMU opens as plain character devices.
/// </summary>
public sealed class NestedRig : IAsyncDisposable
{
    private const string InnerDirectory = "/inner";
    private const string InnerLog = "/run/inner-qemu.log";

    // Page-table isolation flushes the emulated TLB at each system call, and a moved kernel is relocated first: both cost twice here.
    private const string FastKernel = " mitigations=off nokaslr";

    private NestedRig(Guest outer, Guest inner)
    {
        Outer = outer;
        Inner = inner;
    }

    /// <summary>The "host": what listens on AF_VSOCK here is reached by the inner guest at CID 2.</summary>
    public Guest Outer { get; }

    /// <summary>The guest proper, with the CID of its options.</summary>
    public Guest Inner { get; }

    /// <summary>
    /// Boots the pair; the options' files and scripts go into each. <paramref name="outerReady"/> runs before the inner guest boots,
    /// to start what its init script talks to. Takes a minute or two: the inner guest is emulated by an emulated CPU.
    /// </summary>
    public static async Task<NestedRig> StartAsync(
        GuestOptions outer, GuestOptions inner, Func<Guest, Task>? outerReady = null, CancellationToken cancellationToken = default)
    {
        string directory = Directory.CreateTempSubdirectory("vsockpair-").FullName;
        try
        {
            outer = outer with { ExtraKernelArguments = outer.ExtraKernelArguments + FastKernel };
            inner = inner with { ExtraKernelArguments = inner.ExtraKernelArguments + FastKernel };
            using var innerLinks = new GuestLinks(Path.Combine(directory, "inner-"));
            string innerInitramfs = Path.Combine(directory, "initramfs");
            long size = await Initramfs.WriteAsync(innerInitramfs, inner, QemuCommandLine.RamoopsParameters(inner), ["command"]);
            QemuCommandLine.Check(inner, size);

            string kernelImage = RigCache.FindKernel(inner.Kernel).Image;
            GuestOptions complete = outer with
            {
                Files = new Dictionary<string, string>(outer.Files)
                {
                    [$"{InnerDirectory}/vmlinuz"] = kernelImage,
                    [$"{InnerDirectory}/initramfs"] = innerInitramfs,
                },
                Modules = [.. outer.Modules, "vhost_vsock"],
                QemuArguments = [.. outer.QemuArguments, .. GuestLinks.Names.SelectMany(link => OuterPort(link, innerLinks))],
                ExtraPorts = [.. outer.ExtraPorts, .. GuestLinks.Names.Select(PortName)],
            };
            foreach (string file in await QemuFilesAsync())
            {
                complete.Files[file] = file;
            }

            Guest outerGuest = await Guest.StartAsync(complete, cancellationToken);
            try
            {
                if (outerReady is not null)
                {
                    await outerReady(outerGuest);
                }

                (await outerGuest.RunAsync($"{InnerCommandLine(inner)} > {InnerLog} 2>&1 &", cancellationToken: cancellationToken)).EnsureSuccess();
                return new NestedRig(outerGuest, await AttachAsync(outerGuest, inner, innerLinks, cancellationToken));
            }
            catch
            {
                await outerGuest.DisposeAsync();
                throw;
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Outer.DisposeAsync();
        await Inner.DisposeAsync();
    }

    private static async Task<Guest> AttachAsync(Guest outer, GuestOptions inner, GuestLinks links, CancellationToken cancellationToken)
    {
        // The outer QEMU connected when it started; the inner one speaks through that.
        Stream[] streams = await links.AcceptAsync(cancellationToken);
        try
        {
            return await Guest.AttachAsync(inner.Name, outer.Directory, streams, inner.BootTimeout, cancellationToken);
        }
        catch (GuestException failure)
        {
            CommandResult log = await outer.RunAsync($"cat {InnerLog}", cancellationToken: cancellationToken);
            throw new GuestException($"{failure.Message}\ninner QEMU said: '{log.Text.TrimEnd()}'", failure);
        }
    }

    private static string PortName(string link) => $"inner-{link}";

    private static string[] OuterPort(string link, GuestLinks links) =>
    [
        .. GuestProcesses.Connect(PortName(link), links.PathOf(link)),
        "-device", $"virtserialport,chardev={PortName(link)},name={PortName(link)}",
    ];

    private static string InnerCommandLine(GuestOptions inner)
    {
        IEnumerable<string> arguments =
        [
            RigCache.Qemu,
            .. QemuCommandLine.Machine(inner, $"{InnerDirectory}/vmlinuz", $"{InnerDirectory}/initramfs"),
            // Opened as one file for both directions, since there is no PATH.in.
            .. GuestLinks.Names.SelectMany(link => new[] { "-chardev", $"pipe,id={link},path=/dev/virtio-ports/{PortName(link)}" }),
            "-device", $"vhost-vsock-pci,guest-cid={inner.Cid}",
            .. inner.QemuArguments,
        ];
        return string.Join(' ', arguments.Select(Guest.Quote));
    }

    /// <summary>QEMU, the libraries it is linked with, and the firmware that a machine without display and network loads.</summary>
    private static async Task<List<string>> QemuFilesAsync()
    {
        List<string> files =
        [
            RigCache.Qemu,
            RigCache.Require("/usr/share/seabios/bios-256k.bin", "seabios"),
            RigCache.Require("/usr/share/qemu/linuxboot_dma.bin", "qemu-system-data"),
            RigCache.Require("/usr/share/qemu/kvmvapic.bin", "qemu-system-data"),
        ];
        files.AddRange(await SharedLibraries.OfAsync(RigCache.Qemu));
        return files;
    }
}
