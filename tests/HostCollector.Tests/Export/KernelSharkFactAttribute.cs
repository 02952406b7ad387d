namespace VsockPair.HostCollector.Tests.Export;

/// <summary>Needs KernelShark, what tests/rig/kernelshark.sh looks at it with, and a C compiler for a program on its library.</summary>
internal sealed class KernelSharkFactAttribute() : ToolFactAttribute("kernelshark", "Xvfb", "xwininfo", "import", "gcc");
