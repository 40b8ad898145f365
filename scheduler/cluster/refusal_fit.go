package cluster

// The codes of what keeps a VM from going to a host, see [Need.Fit].
const (
	CodeNotChecked         Code = "NOT_CHECKED"          // what the VM needs, or a host offers, is not known
	CodeOwnedElsewhere     Code = "OWNED_ELSEWHERE"      // other software moves this VM
	CodePinnedCPUs         Code = "PINNED_CPUS"          // its threads or memory are tied to CPUs or NUMA nodes
	CodeHostdevAttached    Code = "HOSTDEV_ATTACHED"     // it has a device of its host's
	CodeSRIOVAttached      Code = "SRIOV_ATTACHED"       // it has a function of a network card
	CodeVGPUAttached       Code = "VGPU_ATTACHED"        // it has a mediated device
	CodeSharedFolder       Code = "SHARED_FOLDER"        // it mounts a folder of its host's
	CodeSharedMemory       Code = "SHARED_MEMORY"        // it shares memory with others on its host
	CodeSealedMemory       Code = "SEALED_MEMORY"        // its memory is sealed to a processor (SEV)
	CodeHypervisorBlocked  Code = "HYPERVISOR_BLOCKED"   // libvirt or QEMU would not let it go
	CodeListenAddress      Code = "LISTEN_ADDRESS"       // its display or console listens on its host's address
	CodeJobActive          Code = "JOB_ACTIVE"           // a block or backup job runs, or it has snapshots
	CodeInvariantTSC       Code = "INVARIANT_TSC"        // its CPU has an invariant time stamp counter
	CodeUnsafeCache        Code = "UNSAFE_CACHE"         // what it wrote may not be in its storage
	CodeLocalMedia         Code = "LOCAL_MEDIA"          // a CD or a seed image is only on its host
	CodeStorageNotShared   Code = "STORAGE_NOT_SHARED"   // the target does not have the same storage
	CodeNoStoragePool      Code = "NO_STORAGE_POOL"      // the target's libvirt makes no images where its disk is to be copied to
	CodeNoStorageRoom      Code = "NO_STORAGE_ROOM"      // its disks do not fit there
	CodeDiskInTheWay       Code = "DISK_IN_THE_WAY"      // the target has a file where its disk is to be copied to
	CodeMachineType        Code = "MACHINE_TYPE"         // the target cannot run such a guest
	CodeCPUIncompatible    Code = "CPU_INCOMPATIBLE"     // the target cannot give it its CPU
	CodeOneWay             Code = "ONE_WAY"              // it could go, and not come back, or the other way round
	CodeHooksDiffer        Code = "HOOKS_DIFFER"         // libvirt's hooks are others on the two hosts
	CodeLockManagerDiffers Code = "LOCK_MANAGER_DIFFERS" // libvirt's lock manager is another on the two hosts, or keeps its leases elsewhere
	CodeNoSuchNetwork      Code = "NO_SUCH_NETWORK"      // the target lacks a bridge or network
	CodeNetworkHostLocal   Code = "NETWORK_HOST_LOCAL"   // a network of it ends at its host
	CodeEmulatorPath       Code = "EMULATOR_PATH"        // QEMU is elsewhere at the target
	CodeFirmwarePath       Code = "FIRMWARE_PATH"        // the target lacks a firmware file
	CodeVTPM               Code = "VTPM"                 // the target cannot emulate a TPM
	CodeSecretMissing      Code = "SECRET_MISSING"       // the target lacks a secret of libvirt's
	CodeHugePages          Code = "HUGE_PAGES"           // the target has not enough huge pages
	CodePeerUnreachable    Code = "PEER_UNREACHABLE"     // the source does not reach the target's libvirt
	CodeAutostartStays     Code = "AUTOSTART_STAYS"      // it would be started again with its source
	CodeTried              Code = "TRIED"                // all went well up to the migration, which was not wanted
)
