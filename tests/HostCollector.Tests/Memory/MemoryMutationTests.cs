using VsockPair.HostCollector.Tests.Export;
using VsockPair.Memory;
using VsockPair.TestKit;
using Xunit.Abstractions;

namespace VsockPair.HostCollector.Tests.Memory;

/// <summary>A guest may write what it wants into its types and its rings: nothing throws, each case ends soon, memory stays bounded.</summary>
[Trait("Category", "Fuzz")]
public sealed class MemoryMutationTests(ITestOutputHelper output)
{
    private static readonly ulong[] Evil = [0, 1, 2, 3, 0xFFF, 0xFFFFF, 0x1000, 0x7FFF_FFFF, 0xFFFF_FFFF, FakeKernel.Base, FakeKernel.Base + 0xFFFF8, ulong.MaxValue, 1UL << 63];

    [Fact]
    public void Mutated_types_are_read_without_harm()
    {
        byte[] good = FakeTypes.Btf(is612: true);
        Random random = new(Fuzz.Seed + 30);
        int parsed = 0;
        int found = 0;
        int cases = Fuzz.Cases(0.02);
        FuzzRun.Run(output, "memory, mutated types", cases, number =>
        {
            byte[] file = [.. good];
            for (int i = random.Next(1, 6); i > 0; i--)
            {
                int at = random.Next(file.Length - 4);
                BitConverter.TryWriteBytes(file.AsSpan(at), random.Next(3) == 0 ? (uint)Evil[random.Next(Evil.Length)] : random.Next(2) == 0 ? (uint)random.Next(64) : (uint)random.Next());
            }
            if (KernelTypes.TryParse(random.Next(20) == 0 ? file[..random.Next(file.Length)] : file, out _) is KernelTypes types)
            {
                parsed++;
                found += RingLayout.TryFind(types, out string _) is null ? 0 : 1;
                TaskLayout.TryFind(types, out _);
            }
        });
        output.WriteLine($"{parsed} parsed, {found} with the layout of a ring");
        Assert.InRange(parsed, cases / 4, cases);
        Assert.InRange(found, cases / 20, cases / 5 * 4);
    }

    [Fact]
    public void Mutated_rings_are_walked_without_harm()
    {
        FakeKernel kernel = new();
        FakeRing ring = new(kernel, pages: 16);
        ring.Fill(-1, SampleTrace.SubBufferOf(1000, 0, 20), 20, read: 48);
        for (int i = 0; i < 16; i++)
        {
            ring.Fill(i, SampleTrace.SubBufferOf((ulong)(100_000 + i * 100_000), 20 + i * 20, 20), 20);
        }
        ring.SetCommit(15);
        KernelAddresses addresses = KernelAddresses.TryCreate(ring.Symbols, [], kernel.Memory.Info, out _)!;
        byte[] good = [.. kernel.At(FakeKernel.FirstFree)[..(int)(kernel.Free - FakeKernel.FirstFree)]];
        // Words that are used: pointers, counters, commits, the first events.
        int[] words = [.. Enumerable.Range(0, good.Length / 8).Where(w => BitConverter.ToUInt64(good, w * 8) != 0 && w * 8 % 4096 < 512)];
        ulong[] pointers = [.. words.Select(w => BitConverter.ToUInt64(good, w * 8)).Where(v => v > FakeKernel.Base)];
        Random random = new(Fuzz.Seed + 31);
        long slots = 0;
        int faults = 0;
        int cases = Fuzz.Cases(0.02);
        byte[] slot = new byte[512 << 10];
        FuzzRun.Run(output, "memory, mutated rings", cases, number =>
        {
            List<int> changed = [];
            for (int i = random.Next(1, 5); i > 0; i--)
            {
                int at = words[random.Next(words.Length)] * 8;
                changed.Add(at);
                ulong value = random.Next(4) switch
                {
                    0 => Evil[random.Next(Evil.Length)],
                    1 => pointers[random.Next(pointers.Length)] + (ulong)random.Next(3),
                    2 => BitConverter.ToUInt64(good, at) ^ 1UL << random.Next(64),
                    _ => (ulong)random.NextInt64(),
                };
                kernel.Write(FakeKernel.FirstFree + (ulong)at, value);
            }
            List<string> told = [];
            if (FtraceRings.TryOpen(kernel.Memory, ring.Types, addresses, out _) is FtraceRings rings)
            {
                IReadOnlyList<RingTail> tails = rings.Open("vsockpair", told);
                FtraceRings.Touch(tails);
                foreach (RingTail tail in tails)
                {
                    for (int i = 0; i < Math.Min(tail.Count, 100); i++)
                    {
                        slots += tail.TryRead(i, slot.AsSpan(0, tail.SubBufferBytes)).State == RingSlotState.Filled ? 1 : 0;
                    }
                }
            }
            faults += told.Count > 0 ? 1 : 0;
            foreach (int at in changed)
            {
                good.AsSpan(at, 8).CopyTo(kernel.At(FakeKernel.FirstFree + (ulong)at));
            }
        });
        output.WriteLine($"{slots} sub-buffers, {faults} rings with a fault");
        Assert.InRange(slots, cases * 5L, cases * 17L);
        Assert.InRange(faults, cases / 50, cases);
    }
}
