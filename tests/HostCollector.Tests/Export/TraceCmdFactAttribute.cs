namespace VsockPair.HostCollector.Tests.Export;

/// <summary>Needs trace-cmd.</summary>
internal sealed class TraceCmdFactAttribute() : ToolFactAttribute("trace-cmd");
