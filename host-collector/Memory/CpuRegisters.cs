using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using VsockPair.Decoding;
using VsockPair.Text;

namespace VsockPair.Memory;

/// <summary>The registers of every vCPU of an x86-64 machine, as text: from <c>NT_PRSTATUS</c>, and the control registers from QEMU's own note where there is one.</summary>
internal static class CpuRegisters
{
    private const uint PrStatus = 1;
    private const uint QemuCpuState = 0;

    /// <summary><c>pr_reg</c> of <c>struct elf_prstatus</c>, <c>struct user_regs_struct</c> (asm/user_64.h).</summary>
    private const int RegistersAt = 112;
    private const int PrStatusBytes = 336;

    /// <summary><c>cr[5]</c> of <c>QEMUCPUState</c> version 1 (target/i386/arch_dump.c).</summary>
    private const int ControlRegistersAt = 392;
    private const int QemuCpuStateBytes = 440;

    private static readonly (string Name, int Index)[][] Lines =
    [
        [("rip", 16), ("rsp", 19), ("rflags", 18)],
        [("rax", 10), ("rbx", 5), ("rcx", 11), ("rdx", 12)],
        [("rsi", 13), ("rdi", 14), ("rbp", 4), ("r8", 9)],
        [("r9", 8), ("r10", 7), ("r11", 6), ("r12", 3)],
        [("r13", 2), ("r14", 1), ("r15", 0)],
        [("cs", 17), ("ss", 20), ("fs_base", 21), ("gs_base", 22)],
    ];

    /// <param name="symbols">Of this very boot; names where each vCPU was.</param>
    /// <returns>vCPUs.</returns>
    public static int Write(CoreNotes notes, KernelSymbols symbols, TextWriter output)
    {
        CoreNote[] states = [.. notes.All.Where(n => n is { Kind: CoreNoteKind.Core, Type: PrStatus, ContentBytes: PrStatusBytes })];
        // QEMU writes its own after those, in the same order.
        CoreNote[] more = [.. notes.All.Where(n => n is { Kind: CoreNoteKind.Qemu, Type: QemuCpuState, ContentBytes: >= QemuCpuStateBytes })];
        for (int vcpu = 0; vcpu < states.Length; vcpu++)
        {
            output.Write(Text(vcpu, notes.ContentOf(states[vcpu])[RegistersAt..], vcpu < more.Length ? notes.ContentOf(more[vcpu])[ControlRegistersAt..] : default, symbols));
        }
        return states.Length;
    }

    private static string Text(int vcpu, ReadOnlySpan<byte> registers, ReadOnlySpan<byte> control, KernelSymbols symbols)
    {
        StringBuilder text = new();
        ulong rip = Register(registers, Lines[0][0].Index);
        text.Append(CultureInfo.InvariantCulture, $"vCPU {vcpu}");
        if (symbols.TryFind(rip, out KernelSymbol symbol))
        {
            text.Append(" in ");
            TerminalText.Append(text, symbol.Name);
            text.Append(CultureInfo.InvariantCulture, $"+0x{rip - symbol.Address:x}");
        }
        text.Append('\n');
        foreach ((string Name, int Index)[] line in Lines)
        {
            foreach ((string name, int index) in line)
            {
                Append(text, name, Register(registers, index));
            }
            text.Append('\n');
        }
        if (control.Length > 0)
        {
            // There is no cr1.
            foreach (int index in (ReadOnlySpan<int>)[0, 2, 3, 4])
            {
                Append(text, $"cr{index}", Register(control, index));
            }
            text.Append('\n');
        }
        return text.ToString();
    }

    private static void Append(StringBuilder text, string name, ulong value) => text.Append(CultureInfo.InvariantCulture, $"  {name,-7} {value:x16}");

    private static ulong Register(ReadOnlySpan<byte> registers, int index) => BinaryPrimitives.ReadUInt64LittleEndian(registers[(index * sizeof(ulong))..]);
}
