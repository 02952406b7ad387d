using VsockPair.Commands;
using VsockPair.History;

namespace VsockPair.Memory;

/// <summary>What the store knows of the kernel in a guest's memory: its types, and where its variables lie in this boot.</summary>
internal sealed record StoredKernel(KernelTypes Types, KernelAddresses Addresses)
{
    private const string Btf = "btf";
    private const string Symbols = "kallsyms";

    /// <param name="info">Of the memory.</param>
    /// <param name="boot">That the memory is of, if it is stored. Where it lacks something, any boot of the same build is as good.</param>
    /// <param name="fault">Why there is nothing; empty when there is.</param>
    public static StoredKernel? TryFind(string store, VmcoreInfo info, StoredBoot? boot, out string fault)
    {
        BootMetadata? own = boot is null ? null : new BootMetadata(store, boot);
        IEnumerable<BootMetadata> sources = boot is not null && IsOf(boot, info) ? [own!] : [];
        foreach (BootMetadata source in sources.Concat(OthersOf(store, info)))
        {
            if (source.Read(Btf) is not byte[] btf || source.Read(Symbols) is not byte[] symbols)
            {
                continue;
            }
            return KernelTypes.TryParse(btf, out fault) is KernelTypes types
                && KernelAddresses.TryCreate(symbols, own?.Read("kallsyms-boot") ?? [], info, out fault) is KernelAddresses addresses
                ? new StoredKernel(types, addresses)
                : null;
        }
        fault = $"no boot of kernel {info.BuildId ?? info.Release} is stored with its types and symbols (btf, kallsyms): no agent has sent them, or the kernel has none";
        return null;
    }

    /// <summary>A boot without a build-id, of a kernel that hides it, is known by its release.</summary>
    private static bool IsOf(StoredBoot boot, VmcoreInfo info) => boot.Record is { } record
        && (record.BuildId is not null && info.BuildId is not null ? record.BuildId == info.BuildId : record.Kernel == info.Release);

    private static IEnumerable<BootMetadata> OthersOf(string store, VmcoreInfo info) => info.BuildId is null ? [] :
        StoredGuest.Names(store).SelectMany(name => StoredGuest.Open(store, name).Boots.Reverse())
            .Where(boot => boot.Record?.BuildId == info.BuildId).Select(boot => new BootMetadata(store, boot));
}
